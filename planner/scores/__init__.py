"""How far proxy scores can be trusted, and trainings beside their parents."""
