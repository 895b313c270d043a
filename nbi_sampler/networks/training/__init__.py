"""Named losses, and the loop that minimises them."""
