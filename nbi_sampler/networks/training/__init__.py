"""What a fit minimises, by name, and the one loop that minimises it."""
