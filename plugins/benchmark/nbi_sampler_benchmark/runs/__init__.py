"""One measured run of one sampler on one problem in its own process, and many of them."""
