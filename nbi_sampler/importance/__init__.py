"""Importance sampling on plain arrays: weights, effective sizes, evidence, k-hat, and what can be trusted."""
