"""Log-likelihoods and predictions of draws, by single or batched calls of the user's code."""
