"""How scores fool those who read them, for notebook 10: skewed classes, thresholds, frames taken for people.

Everything works on one table, a row for each frame with a face: what a network said, and beside it what the
labels say and what is true.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.corpus.corpus import TRUTH_FOLDER, Corpus, read_ground_truth
from affkit.errors import UserError
from affkit.evaluation.bootstrap import SubjectSums, bootstrap, paired_difference, percentile_interval
from affkit.evaluation.evaluate import DEFAULTS, Evaluation, Options, evaluate_labels
from affkit.evaluation.predict import face_labels
from affkit.faces.label_faces import label_table
from affkit.files import existing_file
from affkit.labels import ACTION_UNITS, ACTIVE, EXPRESSIONS, VA
from affkit.metrics import StreamingActionUnitScores, StreamingCCC, StreamingExpressionScores
from affkit_course.lessons.nb02 import true_labels

COLUMNS = ("name", "video", "frame", "subject", "set", *VA, *EXPRESSIONS, *ACTION_UNITS)
"""Of a file of predictions."""


def read_predictions(path: str | Path, corpus: Corpus) -> pd.DataFrame:
    """Predictions of a drawn corpus with labels and truth beside them, a row for each frame with a face.

    Parameters
    ----------
    path:
        A CSV file, packed or not, with :data:`COLUMNS`: ``name`` as in ``corpus.labels``, ``frame`` from 1,
        ``set`` ``"validation"`` or ``"test"``, valence and arousal in [-1, 1], and probabilities.
    corpus:
        With labels and ``truth/<name>.csv`` for each name.

    Returns
    -------
    DataFrame
        The same columns; then ``label_valence``, ``label_arousal``, ``label_expression`` (its name),
        ``label_AU1`` and so on, and the same with ``true_``. What is not labelled, or not to be seen, is
        empty: NaN, ``None`` or NA.

    Raises
    ------
    UserError
        If there is no such file, it lacks a column, or names a face or a frame that the corpus has not.
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
    active: float | pd.Series = ACTIVE,
    options: Options = DEFAULTS,
) -> Evaluation:
    """Score a table of predictions as ``affkit evaluate`` scores files, with the names in it alone.

    Parameters
    ----------
    frames:
        As :func:`read_predictions` gives them; only the predictions are read.
    task:
        ``"va"``, ``"expr"``, ``"au"`` or ``"mtl"``.
    active:
        From which probability an action unit counts as there; one for all, or by unit.
    options:
        Set ``partial``, since frames without a face have no prediction.
    """
    own = {name: rows for name, rows in frames.groupby("name", sort=False)}
    truth = {name: corpus.labels[name] for name in own}
    found = {name: face_labels(rows, len(truth[name]), active) for name, rows in own.items()}
    return evaluate_labels(found, truth, task, corpus.subjects, options)


def pooled_and_by_clip(
    predictors: Mapping[str, pd.DataFrame], corpus: Corpus, score: str = "ccc_valence"
) -> pd.DataFrame:
    """One score of several predictors (rows): of all frames ``pooled``, and the ``mean over clips``."""
    ways = {"pooled": False, "mean over clips": True}
    rows = {}
    for words, frames in predictors.items():
        rows[words] = {}
        for way, per_video in ways.items():
            options = Options(per_video=per_video, partial=True, num_resamples=0)
            found = evaluate_frames(frames, corpus, "va", options=options)
            rows[words][way] = float(found.table.at[score, "value"])
    return pd.DataFrame.from_dict(rows, orient="index")


def expression_scores(frames: pd.DataFrame) -> StreamingExpressionScores:
    """The likeliest of the seven expressions against the label, all labelled frames pooled."""
    metric, known = StreamingExpressionScores(len(EXPRESSIONS)), frames["label_expression"].notna()
    predicted = frames.loc[known, list(EXPRESSIONS)].to_numpy().argmax(axis=1)
    metric.update(predicted, pd.Index(EXPRESSIONS).get_indexer(frames.loc[known, "label_expression"]))
    return metric


def always(frames: pd.DataFrame, expression: str) -> pd.DataFrame:
    """The same frames with one expression predicted in all of them."""
    return frames.assign(**{name: float(name == expression) for name in EXPRESSIONS})


def scores_at_share(confusion: np.ndarray, place: int, shares: Iterable[float]) -> pd.DataFrame:
    """What the same network would score if one class were more or less frequent in the test set.

    How it answers frames of a class stays as it is; only how many there are of them changes, and the other
    classes keep their proportions.

    Parameters
    ----------
    confusion:
        ``(C, C)``: frames of a class (rows) by prediction; every class occurs.
    place:
        The row of the class.
    shares:
        Of this class among all frames, in [0, 1).

    Returns
    -------
    DataFrame
        A row a share: ``accuracy``, ``f1_weighted``, ``f1_macro``.

    >>> scores_at_share(np.array([[9, 1], [1, 1]]), 0, [0.5, 0.9])["accuracy"].round(2).tolist()
    [0.7, 0.86]
    """
    support = confusion.sum(axis=1)
    others = np.delete(support, place)
    rows = {}
    for share in shares:
        wanted = np.insert(others / others.sum() * (1 - share), place, share)
        sums = confusion / support[:, None] * wanted[:, None] * 1e9  # as many frames as there is rounding
        scores = StreamingExpressionScores.scores(sums.ravel())
        rows[share] = {name: float(scores[name]) for name in ("accuracy", "f1_weighted", "f1_macro")}
    return pd.DataFrame.from_dict(rows, orient="index")


def unit_f1(frames: pd.DataFrame, active: float | pd.Series = ACTIVE) -> pd.Series:
    """F1 of each action unit, of which ``active`` is the threshold: one for all, or by unit.

    A unit without a labelled frame is NaN; one that is neither there nor predicted has an F1 of 0.
    """
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

    Parameters
    ----------
    predicted, label, units:
        ``(N,)`` each; frames with NaN are left out. Frames with equal ``units`` are drawn together.

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
    """The 95% interval of the CCC with the label, by each of :func:`resampling_units`.

    Returns
    -------
    DataFrame
        Rows ``frames``, ``seconds``, ``people``: ``drawn``, how many of them there are, ``ccc``, ``low``,
        ``high``.
    """
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
    scores lie apart by the square root of 2 times more than each from what it estimates.

    Returns
    -------
    DataFrame
        A row for each repeat and each of :func:`resampling_units`: ``drawn`` (its name), ``low``, ``high``,
        ``other`` (the CCC of the other half), ``inside``.
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
    """Has the first of two predictors the higher CCC on new people? Rows valence and arousal.

    ``against`` is ``label`` or ``true``; the columns are those of
    :func:`~affkit.evaluation.bootstrap.paired_difference`.
    """
    rows = {}
    for name in VA:
        sides = [ccc_sums(one[name], one[f"{against}_{name}"], one["subject"]) for one in (first, second)]
        rows[name] = paired_difference(*sides, num_resamples).loc["ccc"]
    return pd.DataFrame(rows).T


def clip_scores(frames: pd.DataFrame, column: str) -> pd.DataFrame:
    """A row for each face: ``frames`` that are labelled, ``ccc``, and ``spread``, the label's deviation."""
    known = frames.dropna(subset=[column, f"label_{column}"])
    rows = {}
    for name, own in known.groupby("name"):
        label = own[f"label_{column}"]
        ccc = ccc_sums(own[column], label, own["name"]).of_all()["ccc"]
        rows[name] = {"frames": len(own), "ccc": ccc, "spread": float(label.std(ddof=0))}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"frames": int})
