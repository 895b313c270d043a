"""Comparison of samplers on one problem: figures, divergences of posteriors, costs, and a page."""
