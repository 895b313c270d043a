"""Observations as instruments and weather make them of a model, for the scripts one folder up."""
