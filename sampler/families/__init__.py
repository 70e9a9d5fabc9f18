"""One file per family of blocks: its exact, vectorised count."""
