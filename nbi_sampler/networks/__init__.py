"""Everything that is trained: densities, featurizers, losses and fits, and the devices they live on."""
