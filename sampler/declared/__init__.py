"""Networks that a user declares: what they are, as plain data, and what they exactly cost, without torch."""
