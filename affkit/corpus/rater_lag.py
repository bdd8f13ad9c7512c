"""Raters are late, each by another amount: find these lags and take them out.

The delay of a joystick is one to six seconds and differs from person to person (Mariooryad & Busso 2015,
IEEE Transactions on Affective Computing 6(2)); a mean of ratings that are not in step is too flat.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy import signal
from tqdm import tqdm

from affkit.labels import Labels

Annotators = Mapping[str, Mapping[str, Labels]]  # name of the annotator, then of the video

MOST_ROUNDS = 10  # of finding the lags one after the other, until none changes; three are usual
LEAST_OVERLAP = 0.5  # the fraction of the frames that must be left to compare at a lag


def align_ratings(
    raters: Annotators, largest_lag: int, progress: bool = False
) -> tuple[dict[str, dict[str, Labels]], dict[str, int]]:
    """Shift the valence and arousal of each rater towards the start, in step with the fastest of them: the
    raters, and rater to lag in frames, 0 or more (none for who rated nothing). The last ``lag`` frames
    become masked.

    A rater has one lag: the shift, at most ``largest_lag`` frames, at which the rating correlates best
    (Pearson, all videos together, mean of valence and arousal) with the mean of the others, repeated until
    nothing changes. Mariooryad & Busso maximise mutual information with the face instead, which also finds
    the delay that all raters share; ratings alone cannot tell it.

    >>> wave = np.sin(np.arange(200) / 9).astype(np.float32)
    >>> def rated(values):
    ...     return {"clip": replace(Labels.empty(200), valence=values, has_va=np.ones(200, bool))}
    >>> raters = {"R1": rated(wave), "R2": rated(np.roll(wave, 4)), "R3": rated(np.roll(wave, 9))}
    >>> align_ratings(raters, largest_lag=15)[1]
    {'R1': 0, 'R2': 4, 'R3': 9}
    """
    who = [name for name, videos in raters.items() if any(one.has_va.any() for one in videos.values())]
    if len(who) < 2 or largest_lag < 1:
        return {name: dict(videos) for name, videos in raters.items()}, dict.fromkeys(who, 0)
    values, present = _one_long_video([raters[name] for name in who], gap=2 * largest_lag)
    lags = np.zeros(len(who), int)
    for _ in tqdm(range(MOST_ROUNDS), desc="lags", unit="round", delay=2, disable=not progress):
        before = lags.copy()
        for rater in range(len(who)):
            lags[rater] = _lag_to_the_others(values, present, lags, rater, largest_lag)
        if (lags == before).all():
            break
    found = {name: int(lag) for name, lag in zip(who, lags - lags.min(), strict=True)}
    moved = {}
    for name, videos in raters.items():
        moved[name] = {video: _earlier(one, found.get(name, 0)) for video, one in videos.items()}
    return moved, found


def _one_long_video(raters: list[Mapping[str, Labels]], gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Valence and arousal ``(K, 2, N)``, 0 where unrated, and mask ``(K, N)``, with gaps between videos."""
    values, present = [], []
    for videos in raters:
        ratings = [np.stack([one.valence, one.arousal]) * one.has_va for one in videos.values()]
        values.append(np.concatenate([np.pad(two, ((0, 0), (0, gap))) for two in ratings], axis=1))
        present.append(np.concatenate([np.pad(one.has_va, (0, gap)) for one in videos.values()]))
    return np.stack(values).astype(np.float64), np.stack(present)


def _lag_to_the_others(values, present, lags: np.ndarray, rater: int, largest: int) -> int:
    """The lag of one rater, -largest to largest, against the mean of the others at their lags."""
    others = [other for other in range(len(lags)) if other != rater]
    rated = np.all([np.roll(present[other], -lags[other]) for other in others], axis=0)  # (N,)
    mean = sum(np.roll(values[other], -lags[other], axis=1) for other in others) / len(others) * rated
    pairs = zip(values[rater], mean, strict=True)  # valence, then arousal
    scores = [correlation_at_lags(own, present[rater], other, rated, largest) for own, other in pairs]
    total = np.nansum(scores, axis=0)  # where somebody never moves, nothing is known: neither for nor against
    return int(total.argmax()) - largest if total.any() else int(lags[rater])


def correlation_at_lags(
    late: np.ndarray, has_late: np.ndarray, early: np.ndarray, has_early: np.ndarray, largest: int
) -> np.ndarray:
    """Pearson's correlation of ``late[t + lag]`` with ``early[t]``, ``(N,)`` each, 0 where their mask is
    false: ``(2 * largest + 1,)`` from -largest on, over frames in which both masks are true; NaN where one
    does not move, or too few frames meet.

    >>> ramp = np.array([0.0, 1, 4, 9, 16, 25])
    >>> full = np.ones(6, bool)
    >>> correlation_at_lags(np.roll(ramp, 1), full, ramp, full, largest=1).round(2).tolist()
    [-0.27, 0.17, 1.0]
    """

    def sums(a, b):  # sum over t of a[t + lag] * b[t], for every lag at once by a Fourier transform
        middle = len(b) - 1
        return signal.correlate(a, b, "full", "fft")[middle - largest : middle + largest + 1]

    has_late, has_early = has_late.astype(np.float64), has_early.astype(np.float64)
    # small numbers: what a transform of many frames rounds off stays small
    late = (late - late.sum() / max(has_late.sum(), 1)) * has_late
    early = (early - early.sum() / max(has_early.sum(), 1)) * has_early
    count = np.maximum(np.rint(sums(has_late, has_early)), 1)
    mean_late, mean_early = sums(late, has_early) / count, sums(has_late, early) / count
    covariance = sums(late, early) / count - mean_late * mean_early
    variance_late = sums(late**2, has_early) / count - mean_late**2
    variance_early = sums(has_late, early**2) / count - mean_early**2
    moves = np.minimum(variance_late, variance_early) > 1e-9
    enough = count >= max(LEAST_OVERLAP * count.max(), 2)
    product = np.where(moves & enough, variance_late * variance_early, np.nan)
    return covariance / np.sqrt(product)


def _earlier(labels: Labels, lag: int) -> Labels:
    moved = {name: getattr(labels, name) for name in ("valence", "arousal", "has_va")}
    moved = {name: np.concatenate([own[lag:], np.zeros_like(own[:lag])]) for name, own in moved.items()}
    return replace(labels, **moved)
