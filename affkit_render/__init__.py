"""The drawn corpus: faces whose valence, arousal, action units and expression are known exactly."""
