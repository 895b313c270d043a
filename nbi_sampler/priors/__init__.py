"""bilby's priors as maps from N(0, I) to the unit cube and to the parameters."""
