"""Distributions over the latent space that draws come from, each as a ratio to the prior."""
