"""Formulas fitted to trainings: to their front, to the answers, by the papers' rules."""
