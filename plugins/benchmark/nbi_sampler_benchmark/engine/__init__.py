"""Figures of the amortised engine and of training: losses, coverage, steps a second."""
