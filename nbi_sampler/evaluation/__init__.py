"""Log-likelihoods and predictions of draws: all calls of the user's code, one by one or in processes."""
