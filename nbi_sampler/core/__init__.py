"""Settings of every component with their defaults, and one random stream for each purpose."""
