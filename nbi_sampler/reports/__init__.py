"""What people read of a run, and what changes none of its numbers."""
