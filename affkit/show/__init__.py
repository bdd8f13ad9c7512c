"""From models to people."""
