"""What has a screen: annotation, the latent browser, predictions, the doctor."""
