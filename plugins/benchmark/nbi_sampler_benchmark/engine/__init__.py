"""Measurements of the amortised engine and of training: losses, coverage, steps per second."""
