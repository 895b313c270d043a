"""One run of one sampler on one problem, measured in a process of its own, and many of them."""
