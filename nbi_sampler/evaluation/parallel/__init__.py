"""The user's code in several processes, here or on a cluster; the result is the same for any number."""
