"""Losses by name, and the one loop that minimises them."""
