"""What has a screen: annotation, the latent browser, the doctor."""
