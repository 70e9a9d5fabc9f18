"""Networks that a user declares, in torch."""
