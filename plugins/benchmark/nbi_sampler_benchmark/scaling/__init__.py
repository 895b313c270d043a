"""Costs of a run for growing numbers of parameters, data or draws, and laws that describe them."""
