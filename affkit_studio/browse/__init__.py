"""The browser of the latent space."""
