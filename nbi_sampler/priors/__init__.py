"""Every prior of bilby as a map from N(0, I) to the unit cube and to the parameters."""
