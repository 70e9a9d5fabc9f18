"""One file per family: an architecture of it as a torch module of timm's blocks."""
