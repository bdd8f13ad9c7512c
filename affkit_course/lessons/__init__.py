"""What a notebook needs that is neither lesson text nor library."""
