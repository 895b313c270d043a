"""A run on disk: the checkpoint, what it was a run of, and where the next one begins."""
