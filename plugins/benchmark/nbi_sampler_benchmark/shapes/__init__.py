"""Runs of the hard shapes: whether log Z is right, and whether the status says so where it is not."""
