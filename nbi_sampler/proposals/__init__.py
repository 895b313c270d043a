"""Distributions over the latent space, each as a ratio to the prior, and the kernels in them."""
