"""Function-preserving growth in three files: channel maps, layers under such maps, and where each network has its."""
