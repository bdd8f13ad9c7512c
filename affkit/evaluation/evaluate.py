"""The scores of predictions: the paper's criteria (Section IV.D) and those of the ABAW challenges.

- Of valence and arousal: CCC, Pearson correlation and MSE; ``ccc_mean`` of the two is the challenges' score.
- Of expressions and of action units: F1 macro (the challenges' score), F1 weighted, accuracy, and F1 of each.
- Of all three: ``multi_task``, the sum of ``ccc_mean`` and the two F1 macro, up to 3 (multi-task challenge).

Predictions and labels are matched by video and frame. A frame that is labelled and not predicted is an error,
since to leave out what is hard would raise any score; one that is predicted and not labelled is ignored, as
in the challenges. The frames of all videos are pooled, as there, or each video is scored and the mean taken,
which gives other numbers: the result says which. Intervals: :mod:`affkit.evaluation.intervals`.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from affkit.corpus.corpus import PARTS, SUBJECTS_FILE, labelled_frames, read_subjects
from affkit.errors import UserError
from affkit.evaluation.intervals import LEVEL, SubjectSums, bootstrap, percentile_interval
from affkit.labelfiles.formats import IN_RANGE, common_expression_names, drop_other
from affkit.labelfiles.layouts import read_tasks
from affkit.labels import ACTION_UNITS, ACTIVE, EXPRESSIONS, KINDS, VA, Labels
from affkit.metrics import StreamingActionUnitScores, StreamingCCC, StreamingExpressionScores

# task to the kinds of labels it is made of
TASKS = {"va": ("va",), "expr": ("expr",), "au": ("au",), "mtl": ("va", "expr", "au")}


@dataclass(frozen=True)
class Options:
    per_video: bool = False  # mean over videos with the score; a constant label has a CCC of 0
    partial: bool = False  # leave out labelled frames without a prediction, which are an error otherwise
    num_resamples: int = 1000  # of the bootstrap; 0 for no intervals
    seed: int = 0  # of the bootstrap
    progress: bool = False


DEFAULTS = Options()

SCORES = (  # what score() gives
    *("ccc_valence", "ccc_arousal"),
    *("expression_f1_macro", "expression_f1_weighted", "expression_accuracy"),
    *("au_f1_macro", "au_f1_weighted", "au_accuracy"),
    *("mse_valence", "mse_arousal", "au_average_precision"),
)

# kind of label to how its scores are called, and their metric
_F1_METRICS = {"expr": ("expression", StreamingExpressionScores), "au": ("au", StreamingActionUnitScores)}


@dataclass
class Comparison:
    """What came out for one kind of label, ``"va"``, ``"expr"`` or ``"au"``."""

    classes: tuple[str, ...] = ()  # expressions or action units that were compared
    missing_units: tuple[str, ...] = ()  # labelled action units that are nowhere predicted
    # of each video the ``sums`` of its metrics (affkit.metrics), by the names of _new_metrics
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


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate_files` and :func:`evaluate_labels` found."""

    task: str  # one of TASKS
    table: pd.DataFrame  # a row for each score: value, and its 95% interval low to high; NaN is not known
    parts: Mapping[str, Comparison]  # what was compared, for each kind of label that was scored
    confusion: pd.DataFrame | None  # frames of an expression (rows) by prediction (columns); always pooled
    sample: SubjectSums  # what the scores follow from, for paired_difference
    options: Options
    notes: tuple[str, ...]  # who the subjects are, and what was left out, in words

    def text(self) -> str:
        known = self.table["low"].notna()
        intervals = [f"{low:.3f} to {high:.3f}" for low, high in self.table[["low", "high"]].to_numpy()]
        shown = pd.DataFrame({"value": self.table["value"].map("{:.3f}".format)})
        if known.any():
            shown["95% interval"] = pd.Series(intervals, self.table.index).where(known, "-")
        blocks = [shown.replace("nan", "-").to_string()]
        if self.confusion is not None:
            blocks.append(f"Frames of each expression (rows) by prediction\n{self.confusion.to_string()}")
        return "\n\n".join([*blocks, "\n".join(self.notes)])

    def as_dict(self) -> dict:
        """All of it as JSON can hold it; ``None`` is not known."""
        plain = self.table.astype(object).where(self.table.notna(), None)
        result = {"task": self.task, "pooling": "videos" if self.options.per_video else "frames"}
        result |= {"scores": plain.to_dict(orient="index"), "counts": {}}
        for part, one in self.parts.items():
            left_out = {"left_out_frames": one.missing_frames, "left_out_videos": one.missing_videos}
            left_out |= {"left_out_units": list(one.missing_units)}
            counts = {"frames": one.frames, "videos": len(one.sums)} | left_out
            result["counts"][part] = counts | {"predicted_not_labelled": one.not_labelled}
        if self.confusion is not None:
            matrix = self.confusion.to_numpy().tolist()
            result["confusion"] = {"classes": list(self.confusion), "truth_by_prediction": matrix}
        resamples = {"resamples": self.options.num_resamples, "seed": self.options.seed, "level": LEVEL}
        result["subjects"] = len(self.sample.subjects)
        return result | {"bootstrap": resamples, "notes": list(self.notes)}


def score(predictions: pd.DataFrame, labels: Labels) -> dict[str, float]:
    """Those of :data:`SCORES` that are both predicted and labelled, pooled over all labelled frames.

    ``predictions`` are a table of :mod:`affkit.evaluation.predict`, ``labels`` of the same rows, such as
    ``store.labels``. ``au_average_precision`` needs no threshold, so a network that ranks faces well but is
    never sure does well: the mean, over units with an active frame, of the area under precision against
    recall.
    """
    if len(predictions) != len(labels):
        problem = f"{len(predictions)} predictions for {len(labels)} labelled rows"
        raise UserError("evaluation", problem, "predict the store that the labels belong to")
    labels = drop_other(labels).with_action_units(ACTION_UNITS)
    metrics, found = {}, {}
    if VA[0] in predictions and labels.has_va.any():
        metrics |= _new_metrics("va", ())
        for name in VA:
            metrics[name].update(predictions[name], getattr(labels, name), labels.has_va)
    if EXPRESSIONS[0] in predictions and labels.has_expression.any():
        metrics |= _new_metrics("expr", EXPRESSIONS)
        likeliest = predictions[list(EXPRESSIONS)].to_numpy().argmax(axis=1)
        metrics["expr"].update(likeliest, labels.expression, labels.has_expression)
    if ACTION_UNITS[0] in predictions and labels.has_action_units.any():
        metrics |= _new_metrics("au", ACTION_UNITS)
        likely = predictions[list(ACTION_UNITS)].to_numpy()
        metrics["au"].update(likely >= ACTIVE, labels.action_units, labels.has_action_units)
        areas = list(_average_precisions(likely, labels))
        found |= {"au_average_precision": np.mean(areas)} if areas else {}
    sums = {name: metric.sums() for name, metric in metrics.items()}
    found |= _scores({"expr": EXPRESSIONS, "au": ACTION_UNITS}, sums)
    return {name: float(found[name]) for name in SCORES if name in found}


def _average_precisions(likely: np.ndarray, labels: Labels) -> Iterator[float]:
    """Of each unit that is active somewhere, from probabilities ``(N, A)``."""
    from sklearn.metrics import average_precision_score  # slow to import

    for unit, seen in enumerate(labels.has_action_units.T):  # (N,)
        active = labels.action_units[seen, unit] == 1
        if active.any():
            yield average_precision_score(active, likely[seen, unit])


def evaluate_files(
    predictions: str | Path,
    truth: str | Path,
    task: str,  # one of TASKS; "mtl" is all that both have
    split: str | None = None,  # the only set of the truth to score: "train", "validation" or "test"
    subjects: str | Path | None = None,  # a subjects.csv; by default the one in the folder of the truth
    options: Options = DEFAULTS,
) -> Evaluation:
    """Score one file or folder of labels against another, see :func:`~affkit.labelfiles.layouts.read_tasks`.

    Predictions are written like labels; -5 and -1 stand for one that is missing.
    """
    try:
        found = read_tasks(predictions, _kinds(task), progress=options.progress)
    except UserError as error:
        if IN_RANGE not in error.fix:
            raise
        raise UserError(error.path, error.problem, f"cut it to {IN_RANGE}, as numpy.clip does") from error
    known = read_tasks(truth, TASKS[task], split, options.progress)
    if subjects is None:
        beside = (Path(truth).parent if Path(truth).is_file() else Path(truth)) / SUBJECTS_FILE
        subjects = beside if os.path.lexists(beside) else None
    people = {} if subjects is None else read_subjects(subjects)["subject"].to_dict()
    return _evaluate(found, known, task, people, options, str(predictions), str(truth))


def evaluate_labels(
    predictions: Mapping[str, Labels],
    truth: Mapping[str, Labels],
    task: str,
    subjects: Mapping[str, str] | None = None,
    options: Options = DEFAULTS,
) -> Evaluation:
    """Score predictions, as :class:`~affkit.labels.Labels` by video, against labels by video.

    Row i is frame i + 1 in both, of any length; a video not in ``subjects`` is a subject of its own. Refused
    are a labelled frame without a prediction (unless ``partial``), labels of which none is predicted, and
    lists of expressions that do not fit together.
    """
    found, known = (dict.fromkeys(_kinds(task), labels) for labels in (predictions, truth))
    return _evaluate(found, known, task, subjects or {}, options, "predictions", "truth")


def _kinds(task: str) -> tuple[str, ...]:
    if task not in TASKS:
        raise UserError(f"task {task}", "is not known", f"choose from {', '.join(TASKS)}")
    return TASKS[task]


def _evaluate(
    predictions, truth, task: str, subjects, options: Options, found: str, known: str
) -> Evaluation:
    """Score labels by kind and video; ``found`` and ``known`` are what messages call the two."""
    lacking: dict[str, str] = {}  # kind of label to the side that has none
    for part in TASKS[task]:
        for side, where in ((truth[part], known), (predictions[part], found)):
            if not any(labelled_frames(one, part).any() for one in side.values()):
                lacking.setdefault(part, where)
    parts = {
        part: _match_frames(part, predictions[part], truth[part], options, found)
        for part in TASKS[task]
        if part not in lacking
    }
    if not parts:
        part, where = next(iter(lacking.items()))
        raise UserError(where, f"has no {PARTS[part]} in any frame", "give other files, or another task")
    sample = _by_subject(parts, subjects, options.per_video)
    drawn = {}
    if options.num_resamples and len(sample.subjects) > 1:
        drawn = bootstrap(sample, options.num_resamples, options.seed)
    values, nothing = sample.of_all(), np.full(1, np.nan)
    rows = {name: (value, *percentile_interval(drawn.get(name, nothing))) for name, value in values.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])
    confusion = None
    if expr := parts.get("expr"):
        total = sum(sums["expr"] for sums in expr.sums.values()).reshape(2 * [len(expr.classes)])
        confusion = pd.DataFrame(total, index=list(expr.classes), columns=list(expr.classes))
    notes = [*_about(parts, sample, subjects, options)]
    notes += [f"Not scored: {PARTS[part]}; {where} has none." for part, where in lacking.items()]
    return Evaluation(task, table, parts, confusion, sample, options, tuple(notes))


def _match_frames(
    part: str, predictions: Mapping[str, Labels], truth: Mapping[str, Labels], options: Options, where: str
) -> Comparison:
    """Compare one kind of label in all videos; row i of labels is frame i + 1 in both, of any length."""
    result, (mask, columns) = _classes(part, predictions, truth, where), KINDS[part]
    units = result.classes if part == "au" else ()
    result.not_labelled = sum(int(labelled_frames(one, part).sum()) for one in predictions.values())
    for name, labels in tqdm(truth.items(), desc=part, unit="video", delay=2, disable=not options.progress):
        if not (wanted := labelled_frames(labels, part)).any():
            continue
        result.videos += 1
        if name not in predictions:
            result.missing_videos.append(name)
            continue
        given = predictions[name][: len(labels)]
        rows = slice(len(given))  # of the frames that are there in both
        result.not_labelled -= int((labelled_frames(given, part) & wanted[rows]).sum())
        given, labels = given.with_action_units(units), labels.with_action_units(units)
        labelled = getattr(labels, mask)  # (T,), or (T, A) for action units
        predicted = np.zeros_like(labelled)
        predicted[rows] = getattr(given, mask)
        metrics, both = _new_metrics(part, result.classes), (labelled & predicted)[rows]
        for column, metric in zip(columns, metrics.values(), strict=True):
            metric.update(getattr(given, column), getattr(labels, column)[rows], both)
        missing = (labelled & ~predicted).reshape(len(labels), -1).any(axis=1)
        if missing.any():
            result.gaps[name] = int(np.argmax(missing)) + 1, int(missing.sum())
        if both.any():
            result.sums[name] = {key: metric.sums() for key, metric in metrics.items()}
            result.frames += int(both.reshape(len(both), -1).any(axis=1).sum())
    if not options.partial:
        _refuse_gaps(part, result, where)
    if not result.sums:
        problem = f"predicts no {PARTS[part]} of any labelled frame"
        raise UserError(where, problem, "compare the names of the videos")
    return result


def _new_metrics(part: str, classes: tuple[str, ...]) -> dict:
    """The metrics of one kind of label, by name, before any frame."""
    if part == "va":
        return {name: StreamingCCC() for name in VA}
    return {part: _F1_METRICS[part][1](len(classes))}


def _classes(part: str, predictions: Mapping[str, Labels], truth: Mapping[str, Labels], where: str):
    """A comparison of the expressions, or of the action units that both have labels of, before any frame."""
    if part == "va":
        return Comparison()
    if part == "expr":
        try:
            return Comparison(common_expression_names([*truth.values(), *predictions.values()]))
        except ValueError as error:  # the lists of the two differ
            raise UserError(where, str(error), "use the classes of the truth") from error
    labelled, predicted = (
        dict.fromkeys(
            unit
            for one in side.values()
            for unit in compress(one.action_unit_names, one.has_action_units.any(axis=0))
        )
        for side in (truth, predictions)
    )
    missing = tuple(unit for unit in labelled if unit not in predicted)
    return Comparison(tuple(unit for unit in labelled if unit in predicted), missing)


def _refuse_gaps(part: str, result: Comparison, where: str) -> None:
    if result.missing_units:
        problem = f"has no {', '.join(result.missing_units)}, which the truth has"
        raise UserError(where, problem, "predict every labelled unit, or leave such units out with --partial")
    if result.missing_videos:
        some, count = result.missing_videos[0], len(result.missing_videos)
        problem = f"{some} ({count:,} of {result.videos:,} labelled videos)"
    elif result.gaps:
        name, (frame, _) = next(iter(result.gaps.items()))
        count = f"{result.missing_frames:,} such frames in {len(result.gaps):,} videos"
        problem = f"frame {frame} of {name} ({count})"
    else:
        return
    fix = "predict every labelled frame, or leave such frames out with --partial"
    raise UserError(where, f"predicts no {PARTS[part]} of {problem}", fix)


def _by_subject(parts: Mapping[str, Comparison], subjects: Mapping[str, str], per_video: bool) -> SubjectSums:
    """What the scores are made of, subject by subject: sums over frames, or over the scores of videos."""
    score = partial(_scores, {part: one.classes for part, one in parts.items()})
    nothing = {key: 0 * own for one in parts.values() for key, own in next(iter(one.sums.values())).items()}
    rows: dict[str, list[dict[str, np.ndarray]]] = {}  # of the videos of each subject
    for video in dict.fromkeys(name for one in parts.values() for name in one.sums):
        row = dict(nothing)
        for one in parts.values():
            row |= one.sums.get(video, {})
        if per_video:
            found = score(row).items()
            row = {name: np.array([np.nan_to_num(value), ~np.isnan(value)]) for name, value in found}
        rows.setdefault(subjects.get(video, video), []).append(row)
    sums = {key: np.stack([sum(row[key] for row in own) for own in rows.values()]) for key in row}
    return SubjectSums(tuple(rows), sums, _means if per_video else score)


def _scores(classes: Mapping[str, tuple[str, ...]], sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores by name, ``(...)``, of sums of frames by metric, ``(..., K)``."""
    scores = {}
    for name in VA:
        if name in sums:
            scores |= {f"{kind}_{name}": value for kind, value in StreamingCCC.scores(sums[name]).items()}
    for part, (prefix, metric) in _F1_METRICS.items():
        if part in sums:
            found = metric.scores(sums[part])
            each = found.pop("f1")  # (..., C)
            scores |= {f"{prefix}_{kind}": value for kind, value in found.items()}
            scores |= {f"{prefix}_f1_{name}": each[..., i] for i, name in enumerate(classes[part])}
    return _of_challenges(scores)


def _means(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mean scores, ``(...)``, from the sum over videos and their number, ``(..., 2)``; NaN for no video."""
    scores = {}
    for name, rows in sums.items():
        total, videos = np.moveaxis(rows, -1, 0)
        scores[name] = np.where(videos > 0, total / np.maximum(videos, 1), np.nan)
    return _of_challenges(scores)


def _of_challenges(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The scores with those that the challenges make of them in front."""
    first = {}
    if "ccc_valence" in scores:
        first["ccc_mean"] = (scores["ccc_valence"] + scores["ccc_arousal"]) / 2
        if {"expression_f1_macro", "au_f1_macro"} <= scores.keys():
            total = first["ccc_mean"] + scores["expression_f1_macro"] + scores["au_f1_macro"]
            first = {"multi_task": total} | first
    return first | {name: value for name, value in scores.items() if name not in first}


def _about(
    parts: Mapping[str, Comparison], sample: SubjectSums, subjects: Mapping[str, str], options: Options
) -> Iterator[str]:
    each = options.per_video
    yield "Mean over videos of the score of each." if each else "Pooled over the frames of all videos."
    for part, one in parts.items():
        words = PARTS[part].capitalize()
        yield f"{words}: {one.frames:,} frames of {len(one.sums):,} videos."
        if one.missing_frames:
            yield f"{words}: left out {one.missing_frames:,} labelled frames, not or only partly predicted."
        if one.missing_videos:
            count, some = len(one.missing_videos), ", ".join(one.missing_videos[:3])
            some += ", ..." if count > 3 else ""
            yield f"{words}: left out {count:,} of {one.videos:,} videos, not predicted: {some}."
        if one.missing_units:
            yield f"{words}: left out {', '.join(one.missing_units)}, which nobody predicted."
        if one.not_labelled:
            yield f"{words}: ignored {one.not_labelled:,} predicted frames that are not labelled."
    videos = {name for one in parts.values() for name in one.sums}
    unknown, count, who = len(videos - subjects.keys()), len(sample.subjects), ""
    if unknown:
        who = f"; {unknown:,} videos without a known one are each a subject of its own"
    if unknown == len(videos):
        who = "; nothing says who they are, so each video is a subject of its own"
    yield f"Subjects: {count:,}{who}."
    if count < 2:
        yield "Intervals: none, since they need two subjects."
    elif options.num_resamples:
        drawn = f"{options.num_resamples:,} resamples, seed {options.seed}"
        yield f"Intervals: 95%, bootstrap by subject, percentiles of {drawn}."
