"""Pareto fronts of accuracy and cost, and what a point would add to one."""
