"""Draws to log-likelihoods and predictions, by calls of the user's code, one by one or many at once."""
