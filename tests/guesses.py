"""Labels of a few videos, and guesses at them, for tests of scores."""

import numpy as np

from affkit.labels import Labels

UNITS = ("AU1", "AU12", "AU25")


def labels_and_guesses(num_videos: int = 7, seed: int = 0, noise: float = 0.3):
    """Guesses, labels and subjects of videos of 5 to 40 frames; two of three videos share their subject.

    About a tenth of the frames is not labelled with valence and arousal, or an expression; all are guessed.
    """
    rng = np.random.default_rng(seed)
    guesses, truth, subjects = {}, {}, {}
    for i in range(num_videos):
        labels = Labels.empty(int(rng.integers(5, 40)), UNITS)
        frames, shape = len(labels), labels.action_units.shape
        labels.valence[:] = np.clip(rng.normal(rng.normal(0, 0.3), 0.3, frames), -1, 1)
        labels.arousal[:] = rng.uniform(-1, 1, frames)
        labels.expression[:] = rng.integers(0, 7, frames)
        labels.action_units[:] = rng.random(shape) < 0.4
        guess = labels[np.arange(frames)]  # a copy
        for name in ("valence", "arousal"):
            values = getattr(labels, name) + rng.normal(0.1, noise, frames)
            getattr(guess, name)[:] = np.clip(values, -1, 1)
        guess.expression[:] = np.where(
            rng.random(frames) < noise, rng.integers(0, 7, frames), labels.expression
        )
        guess.action_units[:] = (labels.action_units == 1) ^ (rng.random(shape) < noise)
        for one, share in ((labels, 0.9), (guess, 1)):
            for mask in (one.has_va, one.has_expression, one.has_action_units):
                mask[:] = rng.random(mask.shape) < share
        guesses[f"clip_{i}"], truth[f"clip_{i}"] = guess, labels
        subjects[f"clip_{i}"] = f"person_{i - (i % 3 == 1)}"
    return guesses, truth, subjects


def plain_ccc(x: np.ndarray, y: np.ndarray) -> float:
    """Eq. 5, from NumPy's covariance matrix."""
    covariance = np.cov(x, y, bias=True)
    return 2 * covariance[0, 1] / (np.trace(covariance) + (np.mean(x) - np.mean(y)) ** 2)
