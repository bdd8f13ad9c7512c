"""Networks that look at single faces."""
