"""Simulated and real observations for the scripts one folder up."""
