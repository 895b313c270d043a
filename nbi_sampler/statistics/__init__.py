"""Weights, effective sample sizes, evidence and k-hat: arrays in, numbers out."""
