"""Answers: the best buildable network for a budget by all that the trainings taught."""
