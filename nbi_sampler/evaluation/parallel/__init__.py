"""The user's code on several processes, here or on a cluster, with the same result for any number."""
