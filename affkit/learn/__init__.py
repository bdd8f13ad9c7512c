"""From faces to models and numbers."""
