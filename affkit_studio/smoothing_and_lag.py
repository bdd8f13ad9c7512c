"""Traces of valence or arousal, changed after the network: smoothed, late, wider, higher.

A moving mean and a shift in time are the usual repairs of frame-by-frame predictions. Both are tried here on
labels and, where a corpus knows it, on the truth, since labels are late: raters see, decide and then move.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from affkit.labels import VA
from affkit.metrics import StreamingCCC


def change_trace(
    values: np.ndarray,
    shift: float = 0.0,  # what is added
    scale: float = 1.0,  # how much wider it becomes about its own mean
    lag: int = 0,  # by how many frames it comes later
    width: int = 1,  # frames of the moving mean
    causal: bool = False,  # the mean is of the frame and those before it; else centred, and width must be odd
) -> np.ndarray:
    """One trace ``(T,)``, NaN where nothing was said: first smoothed, then late, then wider, then higher.

    Every frame that had a value has one afterwards. Frames beyond an end, or without a value, do not count in
    the mean; where a lag would need one, the last value before it stands in (at the start the first).

    >>> change_trace(np.array([0.0, 0, 3, 0, 0]), width=3).tolist()
    [0.0, 1.0, 1.0, 1.0, 0.0]
    >>> change_trace(np.array([0.0, 0, 3, 0, 0]), width=3, causal=True).tolist()
    [0.0, 0.0, 1.0, 1.0, 1.0]
    >>> change_trace(np.array([1.0, 2, 3, np.nan, 4]), lag=1, shift=0.5).tolist()
    [1.5, 1.5, 2.5, nan, 3.5]
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    if width < 1 or (not causal and width % 2 == 0):
        raise ValueError(f"a moving mean over {width} frames")
    if not known.any():
        return values.copy()
    changed = values if width == 1 else _moving_mean(values, width, causal)
    frames = np.arange(len(values))
    held = np.maximum.accumulate(np.where(known, frames, np.argmax(known)))  # the last frame with a value
    changed = changed[held[np.clip(frames - lag, 0, len(values) - 1)]]
    stays = changed[known].mean() * (1 - scale)  # so that a scale of 1 leaves every number as it is
    return np.where(known, scale * changed + stays + shift, np.nan)


def _moving_mean(values: np.ndarray, width: int, causal: bool) -> np.ndarray:
    """The mean of the known values in a window at each frame; NaN where there are none."""
    known = ~np.isnan(values)
    before = width - 1 if causal else width // 2
    start = np.arange(len(values)) - before
    window = np.clip(start, 0, None), np.clip(start + width, None, len(values))
    total, count = (np.append(0, np.cumsum(part)) for part in (np.where(known, values, 0.0), known))
    total, count = (part[window[1]] - part[window[0]] for part in (total, count))
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def change_traces(frames: pd.DataFrame, **changes) -> pd.DataFrame:
    """A copy of the table with :func:`change_trace` done to valence and arousal, each face by itself.

    A row a frame: ``name`` of the face, ``frame`` (1-based), ``valence``, ``arousal``. A frame that is not
    there had no face; it takes its place in time nevertheless.
    """
    changed = {column: frames[column].to_numpy(np.float64, copy=True) for column in VA}
    for place in frames.groupby("name", sort=False).indices.values():
        number = frames["frame"].to_numpy()[place] - 1
        for values in changed.values():
            trace = np.full(number.max() + 1, np.nan)
            trace[number] = values[place]
            values[place] = change_trace(trace, **changes)[number]
    return frames.assign(**changed)


def three_scores(predicted: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """``CCC``, ``Pearson`` and ``MSE`` of all frames that have both; NaN stands for "has not".

    >>> scores = three_scores(np.array([0.5, 1.5, np.nan]), np.array([0.0, 1.0, 1.0]))
    >>> {name: round(score, 3) for name, score in scores.items()}
    {'CCC': 0.667, 'Pearson': 1.0, 'MSE': 0.25}
    """
    metric = StreamingCCC()
    metric.update(predicted, label, ~np.isnan(predicted) & ~np.isnan(label))
    return {"CCC": metric.compute(), "Pearson": metric.pearson(), "MSE": metric.mse()}


def mean_ccc(frames: pd.DataFrame, against: str = "label") -> float:
    """The mean CCC of valence and arousal, all frames pooled, with ``label_valence`` or ``true_valence``.

    ``frames`` has both beside ``valence`` and ``arousal``.
    """
    return float(np.mean([three_scores(*pair)["CCC"] for pair in _pairs(frames, against)]))


def _pairs(frames: pd.DataFrame, against: str) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(frames[name].to_numpy(), frames[f"{against}_{name}"].to_numpy()) for name in VA]


def lag_curves(frames: pd.DataFrame, lags: Iterable[int]) -> dict[str, dict[str, np.ndarray]]:
    """The CCC ``(L,)`` of prediction, truth and label, when the first of a pair is moved later by L lags.

    ``valence`` and ``arousal`` to the pair to its CCC. The top of ``truth, label`` is where the labels are
    late; that of ``prediction, label`` should be about as much later than that of ``prediction, truth``.
    """
    truth = frames.assign(**{name: frames[f"true_{name}"] for name in VA})
    pairs = {
        "truth, label": (truth, "label"),
        "prediction, label": (frames, "label"),
        "prediction, truth": (frames, "true"),
    }
    curves = {name: {words: [] for words in pairs} for name in VA}
    for lag in lags:
        for words, (first, against) in pairs.items():
            for name, pair in zip(VA, _pairs(change_traces(first, lag=lag), against), strict=True):
                curves[name][words].append(three_scores(*pair)["CCC"])
    return {name: {words: np.array(line) for words, line in of.items()} for name, of in curves.items()}


def filter_scores(
    parts: Mapping[str, pd.DataFrame],
    widths: Iterable[int],
    lags: Iterable[int],
    against: Iterable[str] = ("label", "true"),
) -> pd.DataFrame:
    """What smoothing and a shift in time are worth: the mean CCC with labels and with the truth.

    ``parts``: name of a part, such as ``"test"``, to its frames. Each width, odd, is tried with each lag,
    centred and causal. A row a filter: ``causal`` (so is a mean of one frame), ``width``, ``lag``; ``delay``,
    by how many frames it moves what it smooths: the lag, and half of what a causal mean looks back; ``live``,
    whether it needs no frame of the future; and ``<part>_<against>``, the scores.
    """
    rows, lags = [], list(lags)
    for width in widths:
        for causal in (False, True) if width > 1 else (True,):  # a mean of one frame needs no future
            change = {"width": width, "causal": causal}
            smooth = {part: change_traces(frames, **change) for part, frames in parts.items()}
            for lag in lags:
                row = change | {"lag": lag}
                row["delay"] = lag + causal * (width - 1) / 2
                row["live"] = lag >= (0 if causal else width // 2)  # who waits long enough may look ahead
                for part, frames in smooth.items():
                    moved = change_traces(frames, lag=lag)
                    row |= {f"{part}_{other}": mean_ccc(moved, other) for other in against}
                rows.append(row)
    return pd.DataFrame(rows)
