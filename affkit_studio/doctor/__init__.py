"""What a folder is, what is wrong with it, and what to do next: ``affkit doctor``."""
