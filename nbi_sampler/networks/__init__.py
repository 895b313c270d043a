"""Networks and their training: densities, featurizers, losses, fits, devices and threads."""
