"""Predictions beside labels, matched by video and frame: one video after the other through streaming metrics.

A frame that is labelled and not predicted is an error, since to leave out what is hard would raise any score;
one that is predicted and not labelled is ignored, as in the ABAW challenges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from tqdm import tqdm

from affkit.corpus.corpus import PARTS, labelled_frames
from affkit.errors import UserError
from affkit.labelfiles.formats import common_expression_names
from affkit.labels import KINDS, VA, Labels
from affkit.metrics import StreamingActionUnitScores, StreamingCCC, StreamingExpressionScores

MEND = "predict every labelled frame, or leave such frames out with --partial"

Metrics = dict[str, StreamingCCC | StreamingExpressionScores | StreamingActionUnitScores]


@dataclass
class Comparison:
    """What came out for one kind of label, ``"va"``, ``"expr"`` or ``"au"``."""

    classes: tuple[str, ...] = ()  # expressions or action units that were compared
    missing_units: tuple[str, ...] = ()  # labelled action units that are nowhere predicted
    # of each video the ``sums`` of its metrics (affkit.metrics), by the names of new_metrics
    sums: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    frames: int = 0  # scored
    videos: int = 0  # labelled, whether they are predicted or not
    # predicted videos with labelled frames that are not predicted, wholly or for some action units: the
    # number of the first such frame, from 1, and how many there are
    gaps: dict[str, tuple[int, int]] = field(default_factory=dict)
    missing_videos: list[str] = field(default_factory=list)  # labelled, without any prediction
    not_labelled: int = 0  # frames predicted that nobody labelled

    @property
    def missing_frames(self) -> int:
        """How many labelled frames of predicted videos lack (some of) their prediction."""
        return sum(count for _, count in self.gaps.values())


def match_frames(
    part: str,
    predictions: Mapping[str, Labels],
    truth: Mapping[str, Labels],
    partial: bool = False,
    where: str = "predictions",
    progress: bool = False,
) -> Comparison:
    """Compare one kind of label in all videos; row i of labels is frame i + 1 in both, of any length.

    A labelled frame without a prediction is an error that names ``where``, or with ``partial`` left out.
    """
    result = Comparison(*_classes(part, predictions, truth, where))
    result.not_labelled = sum(int(labelled_frames(one, part).sum()) for one in predictions.values())
    for name, labels in tqdm(truth.items(), desc=part, unit="video", delay=2, disable=not progress):
        if not labelled_frames(labels, part).any():
            continue
        result.videos += 1
        if name not in predictions:
            result.missing_videos.append(name)
            continue
        given = _of_length(predictions[name], len(labels))
        result.not_labelled -= int((labelled_frames(given, part) & labelled_frames(labels, part)).sum())
        given, labels = (_in_classes(part, one, result.classes) for one in (given, labels))
        metrics, scored, missing = _compare_video(part, result.classes, given, labels)
        if missing.any():
            result.gaps[name] = int(np.argmax(missing)) + 1, int(missing.sum())
        if scored.any():
            result.sums[name] = {key: metric.sums() for key, metric in metrics.items()}
            result.frames += int(scored.sum())
    if not partial:
        _refuse_gaps(part, result, where)
    if not result.sums:
        problem = f"predicts no {PARTS[part]} of any labelled frame"
        raise UserError(where, problem, "compare the names of the videos")
    return result


def new_metrics(part: str, classes: tuple[str, ...]) -> Metrics:
    """The metrics of one kind of label, by name, before any frame."""
    if part == "va":
        return {name: StreamingCCC() for name in VA}
    kind = StreamingExpressionScores if part == "expr" else StreamingActionUnitScores
    return {part: kind(len(classes))}


def _compare_video(part: str, classes: tuple[str, ...], given: Labels, wanted: Labels):
    """The metrics of a video; and ``(T,)``, which frames were scored, and which lack (some) prediction."""
    mask, columns = KINDS[part]
    labelled, predicted = getattr(wanted, mask), getattr(given, mask)  # (T,), or (T, A) for action units
    both, missing = labelled & predicted, labelled & ~predicted
    metrics = new_metrics(part, classes)
    for column, metric in zip(columns, metrics.values(), strict=True):
        metric.update(getattr(given, column), getattr(wanted, column), both)
    if part == "au":
        both, missing = both.any(axis=1), missing.any(axis=1)
    return metrics, both, missing


def _classes(part: str, predictions: Mapping[str, Labels], truth: Mapping[str, Labels], where: str):
    """The expressions, or the units that both know; and the units that are labelled and not predicted."""
    if part == "expr":
        try:
            return common_expression_names([*truth.values(), *predictions.values()]), ()
        except ValueError as error:  # the lists of the two differ
            raise UserError(where, str(error), "use the classes of the truth") from error
    if part == "va":
        return (), ()
    labelled, predicted = (
        dict.fromkeys(
            unit
            for one in side.values()
            for unit, there in zip(one.action_unit_names, one.has_action_units.any(axis=0), strict=True)
            if there
        )
        for side in (truth, predictions)
    )
    both = tuple(unit for unit in labelled if unit in predicted)
    return both, tuple(unit for unit in labelled if unit not in predicted)


def _in_classes(part: str, labels: Labels, classes: tuple[str, ...]) -> Labels:
    """The labels with these action units, or these expressions, of which theirs are the first."""
    if part == "au":
        return labels.with_action_units(classes)
    return replace(labels, expression_names=classes) if part == "expr" else labels


def _of_length(labels: Labels, num_frames: int) -> Labels:
    """The labels of exactly ``num_frames`` frames; those that are not there are not labelled."""
    if len(labels) >= num_frames:
        return labels[:num_frames]
    rows = np.arange(num_frames)
    there = rows < len(labels)
    longer = labels[np.where(there, rows, 0)]
    masks = {"has_va": longer.has_va & there, "has_expression": longer.has_expression & there}
    return replace(longer, **masks, has_action_units=longer.has_action_units & there[:, None])


def _refuse_gaps(part: str, result: Comparison, where: str) -> None:
    if result.missing_units:
        problem = f"has no {', '.join(result.missing_units)}, which the truth has"
        raise UserError(where, problem, "predict every labelled unit, or leave such units out with --partial")
    problem, count = f"predicts no {PARTS[part]} of", len(result.missing_videos)
    if count:
        problem += f" {result.missing_videos[0]} ({count:,} of {result.videos:,} labelled videos)"
        raise UserError(where, problem, MEND)
    if result.gaps:
        name, (frame, _) = next(iter(result.gaps.items()))
        count, videos = result.missing_frames, len(result.gaps)
        problem += f" frame {frame} of {name} ({count:,} such frames in {videos:,} videos)"
        raise UserError(where, problem, MEND)
