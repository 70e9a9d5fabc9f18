"""What a study knows so far, and what to do next."""
