"""From a clip to labelled faces."""
