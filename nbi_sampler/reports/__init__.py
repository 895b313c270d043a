"""Reports of a run for people and plugins, which change none of its numbers."""
