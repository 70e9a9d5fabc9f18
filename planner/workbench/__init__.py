"""A study in Python, and its pictures: what the commands do, as functions."""
