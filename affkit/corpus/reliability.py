"""How far annotators agree: percent agreement, kappa, alpha, and concordance of ratings.

Percent agreement says little where a tag is rare; the others ask how far agreement goes beyond chance, or
beyond how much ratings vary anyway. Where all ratings are the same they are 0/0: here NaN, never 1.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations, product

import numpy as np
import pandas as pd
from tqdm import tqdm

from affkit.corpus.agreement import TASKS, Annotators, Ratings, decide, gather
from affkit.metrics import StreamingCCC

ALL = "all"  # the tag of rows about all action units, or all expressions, together

SUMMARY = {  # the tables for a task, each with its statistics; those of pairs are in none
    "frames": ("frames", "kept", "all present", "all absent", "disagreed", "not labelled by all"),
    "agreement": (
        *("annotators", "percent agreement", "mean Cohen's kappa", "Fleiss' kappa"),
        *("mean CCC", "mean Pearson", "Krippendorff's alpha"),
    ),
    "chosen for the same frame": ("confused",),
    "lags": ("lag",),
}


def cohen_kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Agreement of two annotators beyond chance (Cohen 1960): (p_o - p_e) / (1 - p_e).

    p_o is the fraction of frames in which both say the same, p_e that to expect if each gave as many of each
    class at random. ``first`` and ``second`` are class numbers ``(N,)``, 0 or more. 1 is full agreement, 0
    that of chance.

    >>> cohen_kappa(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
    0.5
    """
    classes = int(max(np.max(first, initial=0), np.max(second, initial=0))) + 1
    pairs = np.asarray(first, np.int64) * classes + second
    return _kappa(np.bincount(pairs, minlength=classes**2).reshape(classes, classes))


def _kappa(table: np.ndarray) -> float:
    """Agreement beyond chance, from how often each two classes meet ``(C, C)``; NaN where that is 0/0."""
    table = table / max(table.sum(), 1)
    observed, by_chance = np.trace(table), table.sum(axis=0) @ table.sum(axis=1)
    return _ratio(observed - by_chance, 1 - by_chance) if table.any() else float("nan")


def coincidences(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """How often each two classes meet in a frame, ``(C, C)``, symmetric (Krippendorff 2011).

    ``values`` are class numbers ``(K, N)``, ``present`` is false where an annotator gave none. In a frame
    with m ratings every ordered pair of them counts 1 / (m - 1), so the frame counts m in all; one with
    fewer than two ratings counts nothing. The sum of a row is how often the class was given.

    >>> coincidences(np.array([[0, 1, 1], [0, 1, 0]]), np.ones((2, 3), bool))
    array([[2., 1.],
           [1., 2.]])
    """
    classes = int(np.max(values, initial=0, where=present)) + 1
    weight = 1 / np.maximum(present.sum(axis=0) - 1, 1)
    table = np.zeros(classes**2)
    for i, j in combinations(range(len(values)), 2):
        both = present[i] & present[j]
        pairs = values[i, both].astype(np.int64) * classes + values[j, both]
        table += np.bincount(pairs, weights=weight[both], minlength=classes**2)
    table = table.reshape(classes, classes)
    return table + table.T


def fleiss_kappa(values: np.ndarray, present: np.ndarray) -> float:
    """Agreement of several annotators beyond chance (Fleiss 1971), in the frames that all labelled: two
    ratings of a frame are the same with probability p_o, of any frames with p_e, see :func:`coincidences`.
    """
    by_all = present.all(axis=0)
    return _kappa(coincidences(values[:, by_all], present[:, by_all]))


def krippendorff_alpha(values: np.ndarray, present: np.ndarray, level: str = "nominal") -> float:
    """1 minus the disagreement within frames over that to expect by chance: alpha = 1 - D_o / D_e.

    ``values`` and ``present`` are ``(K, N)`` as in :func:`coincidences`. Classes (``nominal``) disagree by 1
    or not at all, numbers (``interval``) by the square of their difference. Over all pairs of m numbers such
    squares add up to 2 m times the squared deviations from their mean, so alpha compares the variance within
    frames with that of all ratings. (Krippendorff 2011, Computing Krippendorff's alpha-reliability; 2018,
    Content Analysis, chapter 12.)

    >>> yes = np.ones((2, 4), bool)
    >>> round(krippendorff_alpha(np.array([[0, 0, 1, 1], [0, 0, 0, 1]]), yes), 3)
    0.533
    >>> round(krippendorff_alpha(np.array([[0, 1, 2, 3], [0, 1, 2, 4]]), yes, "interval"), 3)
    0.937
    """
    if level == "nominal":
        table = coincidences(values, present)
        given = table.sum(axis=0)
        total = given.sum()
        observed = total - np.trace(table)
        expected = (total**2 - (given**2).sum()) / (total - 1) if total else 0
    elif level == "interval":
        ratings = present.sum(axis=0)  # (N,)
        values, present, ratings = (array[..., ratings > 1] for array in (values, present, ratings))
        total, first = ratings.sum(), values[present][0] if present.any() else 0
        numbers = np.where(present, values.astype(np.float64) - first, 0)  # equal ones are exactly 0
        within = np.square(numbers - numbers.sum(axis=0) / ratings).sum(axis=0, where=present)
        observed = (within * ratings / (ratings - 1)).sum()
        around = np.square(numbers - numbers.sum() / max(total, 1)).sum(where=present)
        expected = around * total / (total - 1) if total else 0
    else:
        raise ValueError(f"no level {level!r}: choose nominal or interval")
    return 1 - _ratio(observed, expected)


def concordance(first: np.ndarray, second: np.ndarray, measure: str = "CCC") -> float:
    """``CCC`` (Eq. 5) or ``Pearson`` of two raters; NaN where it is 0/0."""
    metric = StreamingCCC()
    metric.update(first, second)
    moves = np.diag(metric.scatter) > 0
    if measure == "Pearson":
        return metric.pearson() if moves.all() else float("nan")
    return metric.compute() if moves.any() or metric.mse() > 0 else float("nan")


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def reliability(annotators: Annotators, progress: bool = False) -> pd.DataFrame:
    """All measures for each tag and for all tags of a task together, a row for each number; that of a pair
    names both: ``Cohen's kappa, A1 and A2``. :func:`summary` is for people.

    An expression is compared with the rest, and all of them as one choice out of several. Percent agreement
    (0 to 100) and Fleiss' kappa are about the frames that all annotators of the task labelled; Cohen's
    kappa, CCC and Pearson about those of a pair, their means over the pairs; alpha about those of two or
    more.
    """
    rows = []
    for ratings in _tasks(annotators):
        tags, task = list(_tags(ratings)), ratings.task
        for tag, values, present in tqdm(tags, desc=task, unit="tag", delay=2, disable=not progress):
            rows.append((task, tag, "annotators", len(values)))
            rows += [(task, tag, *row) for row in _measures(task, values, present, ratings.annotators)]
    return _table(rows)


def _table(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["task", "tag", "statistic", "value"]).astype({"value": float})


def _tasks(annotators: Annotators) -> Iterator[Ratings]:
    found = (gather(annotators, task) for task in TASKS)
    return (ratings for ratings in found if len(ratings.annotators) > 1)


def _tags(ratings: Ratings) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each tag with its values and mask, ``(K, N)``; last, all tags of the task together."""
    values, present = ratings.values, ratings.present
    if ratings.task == "expressions":
        for index, name in enumerate(ratings.expressions):
            yield name, (values[:, :, 0] == index).view(np.int8), present[:, :, 0]
    else:
        for column, name in enumerate(ratings.columns):
            yield name, values[:, :, column], present[:, :, column]
    if ratings.task != "valence-arousal":
        yield ALL, values.reshape(len(values), -1), present.reshape(len(values), -1)


def _measures(
    task: str, values: np.ndarray, present: np.ndarray, names: tuple[str, ...]
) -> Iterator[tuple[str, float]]:
    if task == "valence-arousal":
        for name in ("CCC", "Pearson"):
            yield from _pairs(name, partial(concordance, measure=name), values, present, names)
        yield "Krippendorff's alpha", krippendorff_alpha(values, present, "interval")
        return
    by_all, same = present.all(axis=0), (values == values[0]).all(axis=0)
    yield "percent agreement", 100 * _ratio((same & by_all).sum(), by_all.sum())
    yield from _pairs("Cohen's kappa", cohen_kappa, values, present, names)
    yield "Fleiss' kappa", fleiss_kappa(values, present)
    yield "Krippendorff's alpha", krippendorff_alpha(values, present)


def _pairs(
    name: str, measure: Callable, values, present, names: tuple[str, ...]
) -> Iterator[tuple[str, float]]:
    """A measure of two for every pair, then the mean over the pairs for which it is defined."""
    found = []
    for i, j in combinations(range(len(values)), 2):
        both = present[i] & present[j]
        found.append(measure(values[i, both], values[j, both]))
        yield f"{name}, {names[i]} and {names[j]}", found[-1]
    yield f"mean {name}", pd.Series(found).mean()


def kept_frames(annotators: Annotators, keep: str = "all", disagreed: str = "unknown") -> pd.DataFrame:
    """How many frames :func:`~affkit.corpus.agreement.agree` keeps, and why not the others, as
    :func:`reliability`.

    Each of the ``frames`` of the task's videos is one of ``all present``, ``all absent``, ``disagreed`` and
    ``not labelled by all``. Of all expressions together some expression is always there; with all action
    units together a frame counts once for each unit. Rows such as ``Anger / Sadness`` say in how many frames
    one annotator chose this and another that, most frequent first.
    """
    rows = []
    for ratings in _tasks(annotators):
        task, (agreed, kept) = ratings.task, decide(ratings, keep, disagreed)
        if task == "valence-arousal":
            counts = {"frames": kept.size, "kept": kept.sum(), "not labelled by all": (~kept).sum()}
            rows += [(task, ALL, *count) for count in counts.items()]
            continue
        result = replace(ratings, values=agreed[None], present=kept[None])
        for (tag, values, present), (_, value, known) in zip(_tags(ratings), _tags(result), strict=True):
            by_all = present.all(axis=0)
            same, active = by_all & (values == values[0]).all(axis=0), values[0] == 1
            if task == "expressions" and tag == ALL:
                active = np.ones_like(same)  # one of them is always there
            elif task == "expressions":
                known = known & (value == 1)
            counts = {"frames": by_all.size, "kept": known.sum(), "all present": (same & active).sum()}
            counts |= {"all absent": (same & ~active).sum(), "disagreed": (by_all & ~same).sum()}
            counts |= {"not labelled by all": (~by_all).sum()}
            rows += [(task, tag, *count) for count in counts.items()]
        if task == "expressions":
            rows += [(task, *row) for row in _confused(ratings)]
    return _table(rows)


def _confused(ratings: Ratings) -> list[tuple[str, str, int]]:
    """Pairs of expressions that were chosen for the same frame, and in how many frames."""
    values, present = ratings.values[:, :, 0], ratings.present[:, :, 0]
    chosen = [((values == index) & present).any(axis=0) for index in range(len(ratings.expressions))]
    pairs = zip(combinations(ratings.expressions, 2), combinations(chosen, 2), strict=True)
    rows = [(" / ".join(names), "confused", int((one & other).sum())) for names, (one, other) in pairs]
    return sorted((row for row in rows if row[2]), key=lambda row: -row[2])


def agreement_table(
    annotators: Annotators,
    keep: str = "all",
    disagreed: str = "unknown",
    lags: Mapping[str, int] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    parts = [kept_frames(annotators, keep, disagreed), reliability(annotators, progress)]
    rows = [("valence-arousal", name, "lag", lag) for name, lag in (lags or {}).items()]
    return pd.concat([*parts, _table(rows)] if rows else parts, ignore_index=True)


def summary(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows as tables to read, a row for each tag, by a heading such as ``action units: frames``."""
    tables = {}
    for task, heading in product(table["task"].unique(), SUMMARY):
        chosen = table[(table["task"] == task) & table["statistic"].isin(SUMMARY[heading])]
        if not chosen.empty:
            wide = chosen.pivot(index="tag", columns="statistic", values="value")
            wide = wide.loc[chosen["tag"].unique(), [name for name in SUMMARY[heading] if name in wide]]
            whole = [name for name in wide if heading != "agreement" or name == "annotators"]
            tables[f"{task}: {heading}"] = wide.astype(dict.fromkeys(whole, "Int64"))
    return tables


def as_text(table: pd.DataFrame) -> str:
    blocks = []
    for heading, wide in summary(table).items():
        wide = wide.rename_axis(index=None, columns=None)
        digits = {name: 1 if name == "percent agreement" else 3 for name in wide}
        formats = {name: f"{{:,.{digits[name]}f}}".format for name in wide if wide[name].dtype == float}
        blocks.append(f"{heading}\n{wide.to_string(na_rep='-', formatters=formats)}")
    return "\n\n".join(blocks)
