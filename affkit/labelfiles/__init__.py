"""Label files as they are handed out, of all years."""
