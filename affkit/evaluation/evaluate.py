"""The scores of predictions: the paper's criteria (Section IV.D) and those of the ABAW challenges.

- Of valence and arousal: CCC, Pearson correlation and MSE; ``ccc_mean`` of the two is the challenges' score.
- Of expressions and of action units: F1 macro (the challenges' score), F1 weighted, accuracy, and F1 of each.
- Of all three: ``multi_task``, the sum of ``ccc_mean`` and the two F1 macro, up to 3 (multi-task challenge).

The frames of all videos are pooled, as in the challenges, or each video is scored and the mean taken, which
gives other numbers: the result says which. Which frame is compared with which:
:mod:`affkit.evaluation.match_frames`; intervals: ``intervals``.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.corpus.corpus import PARTS, SUBJECTS_FILE, labelled_frames, read_subjects
from affkit.errors import UserError
from affkit.evaluation.intervals import LEVEL, SubjectSums, bootstrap, percentile_interval
from affkit.evaluation.match_frames import Comparison, match_frames, new_metrics
from affkit.labelfiles.formats import drop_other
from affkit.labelfiles.layouts import read_tasks
from affkit.labels import ACTION_UNITS, ACTIVE, EXPRESSIONS, VA, Labels
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

_F1_METRICS = (("expr", "expression", StreamingExpressionScores), ("au", "au", StreamingActionUnitScores))


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
        counts = {
            part: {
                "frames": one.frames,
                "videos": len(one.sums),
                "left_out_frames": one.missing_frames,
                "left_out_videos": one.missing_videos,
                "left_out_units": list(one.missing_units),
                "predicted_not_labelled": one.not_labelled,
            }
            for part, one in self.parts.items()
        }
        result = {"task": self.task, "pooling": "videos" if self.options.per_video else "frames"}
        result |= {"scores": plain.to_dict(orient="index"), "counts": counts}
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
        metrics |= new_metrics("va", ())
        for name in VA:
            metrics[name].update(predictions[name], getattr(labels, name), labels.has_va)
    if EXPRESSIONS[0] in predictions and labels.has_expression.any():
        metrics |= new_metrics("expr", EXPRESSIONS)
        likeliest = predictions[list(EXPRESSIONS)].to_numpy().argmax(axis=1)
        metrics["expr"].update(likeliest, labels.expression, labels.has_expression)
    if ACTION_UNITS[0] in predictions and labels.has_action_units.any():
        metrics |= new_metrics("au", ACTION_UNITS)
        likely = predictions[list(ACTION_UNITS)].to_numpy()
        metrics["au"].update(likely >= ACTIVE, labels.action_units, labels.has_action_units)
        found |= _average_precision(likely, labels)
    sums = {name: metric.sums() for name, metric in metrics.items()}
    found |= _scores({"expr": EXPRESSIONS, "au": ACTION_UNITS}, sums)
    return {name: float(found[name]) for name in SCORES if name in found}


def _average_precision(likely: np.ndarray, labels: Labels) -> dict[str, float]:
    """Of probabilities ``(N, A)``; nothing where no unit is active."""
    from sklearn.metrics import average_precision_score  # slow to import

    active = (labels.action_units == 1) & labels.has_action_units  # (N, A)
    seen = labels.has_action_units
    areas = [
        average_precision_score(active[seen[:, unit], unit], likely[seen[:, unit], unit])
        for unit in np.flatnonzero(active.any(axis=0))
    ]
    return {"au_average_precision": float(np.mean(areas))} if areas else {}


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
    found = read_tasks(predictions, _kinds(task), progress=options.progress)
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

    >>> labels = Labels.empty(3)
    >>> labels.has_expression[:] = True
    >>> found = evaluate_labels({"clip": labels}, {"clip": labels}, "expr")
    >>> float(found.table.at["expression_f1_macro", "value"])
    1.0
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
    kept, notes = _parts_of_both(predictions, truth, task, found, known)
    parts = {
        part: match_frames(part, predictions[part], truth[part], options.partial, found, options.progress)
        for part in kept
    }
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
    notes = [*_about(parts, options), *_about_subjects(sample, parts, subjects, options), *notes]
    return Evaluation(task, table, parts, confusion, sample, options, tuple(notes))


def _parts_of_both(predictions, truth, task: str, found: str, known: str) -> tuple[list[str], list[str]]:
    """The kinds of labels to score, and a note about each that one side lacks; an error if none is left."""
    kept, notes, faults = [], [], []
    for part in TASKS[task]:
        labelled, predicted = (
            any(labelled_frames(one, part).any() for one in side[part].values())
            for side in (truth, predictions)
        )
        if labelled and predicted:
            kept.append(part)
            continue
        lacking, problem = (found if labelled else known), f"has no {PARTS[part]} in any frame"
        notes.append(f"Not scored: {PARTS[part]}; {lacking} has none.")
        faults.append(UserError(lacking, problem, "give other files, or another task"))
    if not kept:
        raise faults[0]
    return kept, notes


def _by_subject(parts: Mapping[str, Comparison], subjects: Mapping[str, str], per_video: bool) -> SubjectSums:
    """What the scores are made of, subject by subject: sums over frames, or over the scores of videos."""
    score, rows = partial(_scores, {part: one.classes for part, one in parts.items()}), []
    own: dict[str, list[str]] = {}
    for video in dict.fromkeys(name for one in parts.values() for name in one.sums):
        own.setdefault(subjects.get(video, video), []).append(video)
    for videos in own.values():
        if per_video:
            each = pd.DataFrame([score(_sums_of_videos(parts, [video])) for video in videos], dtype=float)
            rows.append({name: np.array([each[name].sum(), each[name].count()]) for name in each})
        else:
            rows.append(_sums_of_videos(parts, videos))
    sums = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return SubjectSums(tuple(own), sums, _means if per_video else score)


def _sums_of_videos(parts: Mapping[str, Comparison], videos: list[str]) -> dict[str, np.ndarray]:
    """The sums of each metric, ``(K,)``, over these videos; 0 for those in which it has no frame."""
    sums = {}
    for one in parts.values():
        for key, some in next(iter(one.sums.values())).items():
            sums[key] = sum((one.sums[name][key] for name in videos if name in one.sums), 0 * some)
    return sums


def _scores(classes: Mapping[str, tuple[str, ...]], sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores by name, ``(...)``, of sums of frames by metric, ``(..., K)``."""
    scores = {}
    for name in VA:
        if name in sums:
            scores |= {f"{kind}_{name}": value for kind, value in StreamingCCC.scores(sums[name]).items()}
    for part, prefix, metric in _F1_METRICS:
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
    scores = {name: value for name, value in scores.items() if name not in ("multi_task", "ccc_mean")}
    first = {}
    if "ccc_valence" in scores:
        first["ccc_mean"] = (scores["ccc_valence"] + scores["ccc_arousal"]) / 2
    if "ccc_mean" in first and {"expression_f1_macro", "au_f1_macro"} <= scores.keys():
        total = first["ccc_mean"] + scores["expression_f1_macro"] + scores["au_f1_macro"]
        first = {"multi_task": total} | first
    return first | scores


def _about(parts: Mapping[str, Comparison], options: Options) -> Iterator[str]:
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


def _about_subjects(
    sample: SubjectSums, parts, subjects: Mapping[str, str], options: Options
) -> Iterator[str]:
    videos = {name for one in parts.values() for name in one.sums}
    unknown, count = len(videos - subjects.keys()), len(sample.subjects)
    if unknown == len(videos):
        yield f"Subjects: {count:,}; nothing says who they are, so each video is a subject of its own."
    elif unknown:
        yield f"Subjects: {count:,}; {unknown:,} videos without a known one are each a subject of its own."
    else:
        yield f"Subjects: {count:,}."
    if count < 2:
        yield "Intervals: none, since they need two subjects."
    elif options.num_resamples:
        drawn = f"{options.num_resamples:,} resamples, seed {options.seed}"
        yield f"Intervals: 95%, bootstrap by subject, percentiles of {drawn}."
