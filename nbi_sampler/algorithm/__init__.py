"""SNPE-IS: prior, rounds, refinement and final draws, and what they keep."""
