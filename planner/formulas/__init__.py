"""Budget in, resolution and depth out: curves, formulas and the JSON that carries them."""
