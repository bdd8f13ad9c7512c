"""affkit: from a raw clip to valence-arousal, action units, expressions and generated faces.

The library behind the notebooks. Dependencies flow one way,
``labels <- data <- learn <- show <- exercises <- cli``, and a student can read all of it in a weekend.
"""

__version__ = "0.1.0"
