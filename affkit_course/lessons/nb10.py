"""How scores fool those who read them, for notebook 10: skewed classes, thresholds, frames taken for people.

Everything works on one table, a row for each frame with a face: what a network said, and beside it what the
labels say and what is true.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from affkit.corpus.corpus import TRUTH_FOLDER, Corpus, read_ground_truth
from affkit.errors import UserError
from affkit.evaluation.evaluate import DEFAULTS, Evaluation, Options, evaluate_labels
from affkit.evaluation.intervals import SubjectSums, bootstrap, paired_difference, percentile_interval
from affkit.evaluation.predict import face_labels
from affkit.faces.extract import label_table
from affkit.files import existing_file
from affkit.labels import ACTION_UNITS, ACTIVE, EXPRESSIONS, VA
from affkit.metrics import StreamingActionUnitScores, StreamingCCC, StreamingExpressionScores
from affkit_course.lessons.nb02 import true_labels
from affkit_lab.figures.style import PALETTE, line_styles
from affkit_studio.smoothing_and_lag import three_scores

COLUMNS = ("name", "video", "frame", "subject", "set", *VA, *EXPRESSIONS, *ACTION_UNITS)
"""Of a file of predictions."""


def read_predictions(path: str | Path, corpus: Corpus) -> pd.DataFrame:
    """Predictions of a drawn corpus with labels and truth beside them, a row for each frame with a face.

    The CSV file, packed or not, has :data:`COLUMNS`: ``name`` as in ``corpus.labels``, ``frame`` from 1,
    ``set`` ``"validation"`` or ``"test"``, valence and arousal in [-1, 1], and probabilities. Added are
    ``label_valence``, ``label_arousal``, ``label_expression`` (its name), ``label_AU1`` and so on, and the
    same with ``true_``. What is not labelled, or not to be seen, is empty.
    """
    said = pd.read_csv(existing_file(path))
    missing = [name for name in COLUMNS if name not in said]
    if missing:
        raise UserError(path, f"has no column {missing[0]}", "give a file of predictions")
    parts = []
    for name, own in said.groupby("name", sort=False):
        if name not in corpus.labels:
            raise UserError(path, f"predicts {name}, which the corpus has not", "give the corpus it is of")
        labels = corpus.labels[name]
        outside = own.loc[~own["frame"].between(1, len(labels)), "frame"]
        if len(outside):
            problem = f"predicts frame {outside.iloc[0]} of {name}, which has {len(labels)}"
            raise UserError(path, problem, "count the frames from 1, and give the corpus it is of")
        truth = true_labels(read_ground_truth(corpus.root / TRUTH_FOLDER / f"{name}.csv"))
        beside = {"label_": labels, "true_": truth}
        for prefix, known in beside.items():
            own = own.join(label_table(known.with_action_units(ACTION_UNITS)).add_prefix(prefix), on="frame")
        parts.append(own)
    return pd.concat(parts, ignore_index=True)


def evaluate_frames(
    frames: pd.DataFrame,
    corpus: Corpus,
    task: str,
    active: float | pd.Series = ACTIVE,  # the threshold of the action units: one for all, or by unit
    options: Options = DEFAULTS,
) -> Evaluation:
    """Score a table of predictions as ``affkit evaluate`` scores files, with the names in it alone.

    Set ``options.partial``, since frames without a face have no prediction.
    """
    own = {name: rows for name, rows in frames.groupby("name", sort=False)}
    truth = {name: corpus.labels[name] for name in own}
    found = {name: face_labels(rows, len(truth[name]), active) for name, rows in own.items()}
    return evaluate_labels(found, truth, task, corpus.subjects, options)


def pooled_and_by_clip(
    predictors: Mapping[str, pd.DataFrame], corpus: Corpus, score: str = "ccc_valence"
) -> pd.DataFrame:
    """One score of several predictors (rows): of all frames ``pooled``, and the ``mean over clips``."""
    columns = {}
    for way, per_video in {"pooled": False, "mean over clips": True}.items():
        options = Options(per_video=per_video, partial=True, num_resamples=0)
        found = {n: evaluate_frames(own, corpus, "va", options=options) for n, own in predictors.items()}
        columns[way] = {name: float(one.table.at[score, "value"]) for name, one in found.items()}
    return pd.DataFrame(columns)


def expression_scores(frames: pd.DataFrame) -> StreamingExpressionScores:
    """The likeliest of the seven expressions against the label, all labelled frames pooled."""
    metric, known = StreamingExpressionScores(len(EXPRESSIONS)), frames["label_expression"].notna()
    predicted = frames.loc[known, list(EXPRESSIONS)].to_numpy().argmax(axis=1)
    metric.update(predicted, pd.Index(EXPRESSIONS).get_indexer(frames.loc[known, "label_expression"]))
    return metric


def always(frames: pd.DataFrame, expression: str) -> pd.DataFrame:
    """The same frames with one expression predicted in all of them."""
    return frames.assign(**{name: float(name == expression) for name in EXPRESSIONS})


def scores_at_fraction(confusion: np.ndarray, place: int, fractions: Iterable[float]) -> pd.DataFrame:
    """What the same network would score if one class were more or less frequent in the test set.

    ``confusion`` ``(C, C)`` counts frames of a class (rows) by prediction; every class occurs. How the
    network answers frames of a class stays; only the fraction of class ``place`` changes to each of
    ``fractions``, in [0, 1), and the other classes keep their proportions. A row each: ``accuracy``,
    ``f1_weighted``, ``f1_macro``.

    >>> scores_at_fraction(np.array([[9, 1], [1, 1]]), 0, [0.5, 0.9])["accuracy"].round(2).tolist()
    [0.7, 0.86]
    """
    support = confusion.sum(axis=1)
    others = np.delete(support, place)
    rows = {}
    for fraction in fractions:
        wanted = np.insert(others / others.sum() * (1 - fraction), place, fraction)
        sums = confusion / support[:, None] * wanted[:, None] * 1e9  # as many frames as there is rounding
        scores = StreamingExpressionScores.scores(sums.ravel())
        rows[fraction] = {name: float(scores[name]) for name in ("accuracy", "f1_weighted", "f1_macro")}
    return pd.DataFrame.from_dict(rows, orient="index")


def unit_f1(frames: pd.DataFrame, active: float | pd.Series = ACTIVE) -> pd.Series:
    """F1 of each action unit; NaN without a labelled frame, 0 if it is neither there nor predicted."""
    labels = frames[[f"label_{unit}" for unit in ACTION_UNITS]]
    metric = StreamingActionUnitScores(len(ACTION_UNITS))
    predicted = frames[list(ACTION_UNITS)] >= active
    metric.update(predicted, labels.fillna(0), labels.notna())
    return pd.Series(metric.f1(), ACTION_UNITS)


def unit_f1_curves(frames: pd.DataFrame, thresholds: Iterable[float]) -> pd.DataFrame:
    """:func:`unit_f1` at each threshold (rows), for all units (columns)."""
    return pd.DataFrame({threshold: unit_f1(frames, threshold) for threshold in thresholds}).T


def ccc_sums(predicted: pd.Series, label: pd.Series, units: pd.Series) -> SubjectSums:
    """What the CCC is made of, for a bootstrap that draws whatever ``units`` names: people, seconds, frames.

    All are ``(N,)``; frames with NaN are left out, those with equal ``units`` are drawn together.

    >>> values = pd.Series([0.0, 0.5, 1.0, 0.5])
    >>> ccc_sums(values, values, pd.Series(list("aabb"))).of_all()
    {'ccc': 1.0}
    """
    both = predicted.notna() & label.notna()
    x, y = predicted[both].to_numpy(np.float64), label[both].to_numpy(np.float64)
    number, names = pd.factorize(units[both])
    terms = np.ones(len(x)), x, y, x * x, y * y, x * y
    rows = np.stack([np.bincount(number, term, len(names)) for term in terms], axis=1)  # (units, 6)
    score = {"ccc": rows}, lambda sums: {"ccc": StreamingCCC.scores(sums["ccc"])["ccc"]}
    return SubjectSums(tuple(map(str, names)), *score)


def resampling_units(frames: pd.DataFrame, fps: int = 30) -> dict[str, pd.Series]:
    """Three answers to "what was drawn at random?": for each frame itself, its second, and its subject."""
    second = frames["name"] + " " + ((frames["frame"] - 1) // fps).astype(str)
    return {"frames": pd.Series(frames.index, frames.index), "seconds": second, "people": frames["subject"]}


def intervals(frames: pd.DataFrame, column: str, num_resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The 95% interval of the CCC with the label, by each of :func:`resampling_units`, ``drawn`` of them."""
    rows = {}
    for kind, units in resampling_units(frames).items():
        sample = ccc_sums(frames[column], frames[f"label_{column}"], units)
        low, high = percentile_interval(bootstrap(sample, num_resamples, seed)["ccc"])
        rows[kind] = {"drawn": len(sample.subjects), "ccc": sample.of_all()["ccc"], "low": low, "high": high}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"drawn": int})


def other_half(
    frames: pd.DataFrame, column: str, repeats: int = 50, num_resamples: int = 200, seed: int = 0
) -> pd.DataFrame:
    """Does the interval from one half of the people hold what the other half scores?

    Half of the people are drawn again and again. Of two halves of one crowd a right 95% interval holds the
    score of the other half in about 83% of cases, not in 95%: the other half is uncertain, too, so the two
    scores lie apart by the square root of 2 times more than each from what it estimates. A row for each
    repeat and each of :func:`resampling_units`: ``drawn`` (its name), ``low``, ``high``, ``other`` (the CCC
    of the other half), ``inside``.
    """
    people, rng, rows = np.unique(frames["subject"]), np.random.default_rng(seed), []
    for repeat in range(repeats):
        here = frames["subject"].isin(rng.permutation(people)[: len(people) // 2])
        rest = frames[~here]
        other = ccc_sums(rest[column], rest[f"label_{column}"], rest["subject"]).of_all()["ccc"]
        found = intervals(frames[here], column, num_resamples, seed=seed + repeat)
        for kind, low, high in zip(found.index, found["low"], found["high"], strict=True):
            rows.append((repeat, kind, low, high, other, low <= other <= high))
    return pd.DataFrame(rows, columns=["repeat", "drawn", "low", "high", "other", "inside"])


def paired_people(
    first: pd.DataFrame, second: pd.DataFrame, against: str = "label", num_resamples: int = 1000
) -> pd.DataFrame:
    """Has the first of two predictors the higher CCC with ``label`` or ``true`` on new people?

    Rows valence and arousal, columns of :func:`~affkit.evaluation.intervals.paired_difference`.
    """
    rows = {}
    for name in VA:
        sides = [ccc_sums(one[name], one[f"{against}_{name}"], one["subject"]) for one in (first, second)]
        rows[name] = paired_difference(*sides, num_resamples).loc["ccc"]
    return pd.DataFrame(rows).T


def clip_scores(frames: pd.DataFrame, column: str) -> pd.DataFrame:
    """A row for each face: ``frames`` that are labelled, ``ccc``, ``sd``, the label's standard deviation."""
    known = frames.dropna(subset=[column, f"label_{column}"])
    rows = {}
    for name, own in known.groupby("name"):
        label = own[f"label_{column}"]
        ccc = ccc_sums(own[column], label, own["name"]).of_all()["ccc"]
        rows[name] = {"frames": len(own), "ccc": ccc, "sd": float(label.std(ddof=0))}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"frames": int})


def _panels(number: int, columns: int, height: float, xlabel: str, ylabel: str) -> tuple[Figure, np.ndarray]:
    """So many panels with the same axes, in rows; those at the end that are not needed are empty."""
    rows = -(-number // columns)
    size = (11, 0.8 + height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[number:]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel(xlabel, fontsize=10)
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel, fontsize=10)
    return figure, axes


def _legend_below(figure: Figure, axis: Axes, title: str) -> None:
    lines, names = axis.get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(names), fontsize=9)
    figure.suptitle(title)


def traces_with_scores(
    label: np.ndarray, predicted: Mapping[str, np.ndarray], fps: float = 30.0, title: str = ""
) -> Figure:
    """A panel for each prediction of one label, ``(T,)`` each, with its three scores above it.

    NaN leaves a gap. What lies beyond -1.5 and 1.5 is not drawn, and counts nevertheless.
    """
    figure, axes = _panels(len(predicted), 3, 2.2, "seconds", "valence")
    for axis, (words, values) in zip(axes.flat, predicted.items(), strict=False):
        for trace, style, name in ((label, "-", "label"), (values, "--", "prediction")):
            color = "0.25" if name == "label" else PALETTE[1]
            axis.plot(np.arange(len(trace)) / fps, trace, style, color=color, label=name)
        scores = ", ".join(f"{name} {score:.2f}" for name, score in three_scores(values, label).items())
        axis.set_title(f"{words}\n{scores}", fontsize=10)
        axis.set(ylim=(-1.5, 1.5))
    _legend_below(figure, axes[0, 0], title)
    return figure


def confusion_picture(confusion: pd.DataFrame, title: str = "") -> Figure:
    """Of the frames of each class (rows), the fraction of each answer (columns), in percent and in blue.

    ``confusion`` counts frames; how many a class has is written beside its name. A class that does not occur
    has an empty row; fractions of 0 have no number.
    """
    support = confusion.sum(axis=1)
    fractions = (confusion.T / support.where(support > 0)).T
    figure, axis = plt.subplots(figsize=(9, 4.2))
    axis.imshow(fractions.fillna(0), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), fraction in np.ndenumerate(fractions):
        if fraction > 0:
            color = "white" if fraction > 0.6 else "black"
            axis.text(column, row, f"{fraction:.0%}", ha="center", va="center", color=color, fontsize=10)
    axis.set_xticks(range(len(confusion.columns)), confusion.columns, fontsize=10)
    rows = [f"{name} ({count:,})" for name, count in support.items()]
    axis.set_yticks(range(len(rows)), rows, fontsize=10)
    axis.set(xlabel="answer", ylabel="label (frames)", title=title)
    axis.grid(False)
    return figure


def threshold_panels(curves: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """A panel a unit: F1 against the threshold, for each set a line of its :func:`unit_f1_curves`."""
    units = next(iter(curves.values())).columns
    figure, axes = _panels(len(units), 4, 2.1, "threshold", "F1")
    for axis, unit in zip(axes.flat, units, strict=False):
        for (name, table), style, mark in zip(curves.items(), line_styles(), "osD^", strict=False):
            f1 = table[unit].dropna()
            axis.plot(f1.index, f1, label=name, linewidth=2, **style)
            if len(f1):
                axis.plot(f1.idxmax(), f1.max(), mark, color=style["color"], markersize=8)
        axis.set_title(unit, fontsize=11)
        axis.set(xlim=(-0.04, 1), ylim=(0, 1.05))
    _legend_below(figure, axes[0, 0], title)
    return figure


def clip_dots(scores: pd.DataFrame, lines: Mapping[str, float], title: str = "") -> Figure:
    """The CCC of each clip against how much its label moves; larger dots for longer clips.

    ``scores`` are those of :func:`clip_scores`; the best clip, the worst and the longest have their names.
    ``lines`` are words to a CCC that is drawn all the way across.
    """
    figure, axis = plt.subplots(figsize=(8, 4))
    axis.scatter(
        scores["sd"], scores["ccc"], s=20 + scores["frames"] / 8, alpha=0.6, color=PALETTE[0], zorder=3
    )
    named = {scores["ccc"].idxmax(), scores["ccc"].idxmin(), scores["frames"].idxmax()}
    for name, row in scores.loc[sorted(named)].iterrows():
        place = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
        axis.annotate(name, (row["sd"], row["ccc"]), (0, 14), **place)
    for (words, value), style in zip(lines.items(), line_styles()[1:], strict=False):
        axis.axhline(value, label=f"{words}: {value:.2f}", linewidth=2, **style)
    axis.axhline(0, color="0.6", linewidth=1)
    axis.margins(x=0.08, y=0.15)
    axis.set(xlabel="standard deviation of the label in the clip", ylabel="CCC of the clip", title=title)
    axis.legend(fontsize=9, loc="best")
    return figure


def smoothing_curves(scores: pd.DataFrame, part: str, fps: float = 30.0, title: str = "") -> Figure:
    """``filter_scores`` without lag of one ``part``, by the width of the mean, centred and causal."""
    still = scores[scores["lag"] == 0]
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharex=True)
    for axis, against, words in zip(axes, ("label", "true"), ("the labels", "the truth"), strict=True):
        score = f"{part}_{against}"
        for causal, style, mark in zip((False, True), line_styles(), "os", strict=False):
            # a mean of one frame is both centred and causal
            own = still[(still["causal"] == causal) | (still["width"] == 1)].sort_values("width")
            name = "causal" if causal else "centred"
            axis.plot(own["width"] / fps, own[score], marker=mark, label=name, linewidth=2, **style)
        axis.axhline(
            still.loc[still["width"] == 1, score].item(), color="0.5", linestyle=":", label="as it is"
        )
        axis.set(title=f"{part}, with {words}", xlabel="seconds of the moving mean")
        axis.legend(fontsize=9)
    axes[0].set_ylabel("mean CCC, valence and arousal")
    figure.suptitle(title)
    return figure


def lag_panels(
    seconds: np.ndarray, curves: Mapping[str, Mapping[str, np.ndarray]], title: str = ""
) -> Figure:
    """A panel for valence and one for arousal: the CCC of pairs of traces against the lag of the first.

    ``curves`` are those of ``lag_curves``, at these ``seconds``. A mark is at the top
    of each line; the legend says where that is.
    """
    figure, axes = plt.subplots(1, len(curves), figsize=(11, 4), sharex=True, sharey=True, squeeze=False)
    for axis, (name, lines) in zip(axes[0], curves.items(), strict=True):
        for (words, ccc), style, mark in zip(lines.items(), line_styles(), "osD", strict=False):
            top = int(np.argmax(ccc))
            label = f"{words}: top at {seconds[top]:.1f} s"
            axis.plot(
                seconds, ccc, marker=mark, markevery=[top], markersize=8, label=label, linewidth=2, **style
            )
        axis.axvline(0, color="0.6", linewidth=1)
        axis.set(title=name, xlabel="seconds by which the first comes later")
        axis.legend(fontsize=9, loc="upper left")
    axes[0, 0].set_ylabel("CCC")
    axes[0, 0].set_ylim(top=1.3)  # room for the legends
    figure.suptitle(title)
    return figure


def interval_bars(table: pd.DataFrame, xlabel: str = "", title: str = "") -> Figure:
    """An interval a row, with a dot at the value and its width beside it.

    ``table`` has the columns ``ccc``, ``low`` and ``high``; its index is written on the left.
    """
    figure, axis = plt.subplots(figsize=(9, 1.2 + 0.5 * len(table)))
    for place, (_, row) in enumerate(table.iterrows()):
        axis.plot(
            [row["low"], row["high"]], [place, place], "|-", color=PALETTE[0], linewidth=3, markersize=14
        )
        axis.plot(row["ccc"], place, "o", color="0.15", markersize=7)
        words = f"   {row['low']:.2f} to {row['high']:.2f}"
        axis.annotate(
            words, (row["high"], place), (8, 0), textcoords="offset points", va="center", fontsize=10
        )
    axis.set_yticks(range(len(table)), table.index)
    axis.set(ylim=(len(table) - 0.5, -0.5), xlabel=xlabel, title=title)
    axis.margins(x=0.3)
    axis.grid(axis="y", visible=False)
    return figure
