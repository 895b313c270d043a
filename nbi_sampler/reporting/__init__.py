"""What people and bilby are told: progress, verdict and result."""
