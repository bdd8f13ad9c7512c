"""A corpus: its statistics, its raters, its split by subject."""
