"""Networks that a user declares: loaded from a function or a file, derived, built, shipped. Torch when it is needed."""
