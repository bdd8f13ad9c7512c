"""Directions in the latent space of a GAN."""
