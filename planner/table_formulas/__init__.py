"""Formulas of tables alone: a cost in, the named dimensions out, with no base network."""
