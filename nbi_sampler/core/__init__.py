"""Settings of every component with their defaults, and randomness: one seed, a stream for each purpose."""
