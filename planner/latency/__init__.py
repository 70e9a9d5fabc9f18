"""Measured latency: sweeps and their staircases, tables of measurements, models fitted to them."""
