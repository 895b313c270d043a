"""Runs of the hard shapes, which test log Z, and the status if log Z is wrong."""
