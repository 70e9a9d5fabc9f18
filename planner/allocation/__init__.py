"""One budget among the stages: by learned curves, and by exact search through the surrogate."""
