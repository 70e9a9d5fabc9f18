"""Which rows of a pool to measure next."""
