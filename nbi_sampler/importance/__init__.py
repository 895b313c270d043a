"""Importance sampling with plain arrays: weights, effective sample sizes, evidence, k-hat and statuses."""
