"""Trainings run: hours, engines, early stopping, interruption."""
