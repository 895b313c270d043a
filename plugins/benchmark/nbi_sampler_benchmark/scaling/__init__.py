"""Costs of a run as parameters, data or draws grow, and the laws that they follow."""
