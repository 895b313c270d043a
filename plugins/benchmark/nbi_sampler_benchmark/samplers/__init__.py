"""Samplers side by side on one problem: figures, divergences of the posteriors, costs, a page."""
