"""The chosen network, trained fully, and everything that somebody needs in order to use it, in one folder."""
