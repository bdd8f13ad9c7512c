"""What an experiment found: written as CSV, JSON and a table to read, and read again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from affkit.errors import UserError
from affkit.evaluation.intervals import Claim, judge, paper_difference
from affkit.files import existing_file, write_beside

SCORE_NAMES = {
    "ccc_valence": "CCC-V",
    "ccc_arousal": "CCC-A",
    "au_f1_weighted": "F1 weighted",
    "au_f1_macro": "F1 macro",
    "au_accuracy": "accuracy",
    "au_average_precision": "AP",
    "expression_accuracy": "accuracy",
    "expression_f1_weighted": "F1 weighted",
    "expression_f1_macro": "F1 macro",
    "mse_valence": "MSE-V",
    "mse_arousal": "MSE-A",
}
"""Scores and their names in the tables; the paper has no MSE and no AP. Of an MSE less is better."""
VA_SCORES = ("ccc_valence", "ccc_arousal")
AU_SCORES = ("au_f1_weighted", "au_f1_macro", "au_accuracy")
EXPRESSION_SCORES = ("expression_accuracy", "expression_f1_weighted", "expression_f1_macro")
MTL_SCORES = VA_SCORES + EXPRESSION_SCORES
MSE_SCORES = ("mse_valence", "mse_arousal")
CSV, JSON, MARKDOWN = "scores.csv", "results.json", "table.md"
RULE = (
    "A claim holds if the 95% interval (Student's t over the seeds) of the mean difference between two rows, "
    "seed by seed, lies above 0; it does not hold if the interval lies below 0; else it is not decided."
)


@dataclass(frozen=True)
class Results:
    """The results of an experiment."""

    settings: dict  # what experiment.json says
    scores: pd.DataFrame  # a row a run and set: row, seed, set and its scores
    baselines: pd.DataFrame  # on the test set
    verdicts: Sequence[dict]  # one a claim, see Verdict.as_dict

    @property
    def test(self) -> pd.DataFrame:
        """The scores on the test set."""
        return self.scores[self.scores["set"] == "test"].drop(columns="set").reset_index(drop=True)

    @property
    def about(self) -> str:
        """How much was run, in a line."""
        seeds = ", ".join(map(str, sorted(self.scores["seed"].unique())))
        rows, steps = self.scores["row"].nunique(), self.settings["steps"]
        return f"rows: {rows}; seeds: {seeds}; steps of each run: {steps}"

    @property
    def sentences(self) -> list[str]:
        """The verdict on each claim."""
        return [verdict["sentence"] for verdict in self.verdicts]

    def as_dict(self) -> dict:
        """All but the scores of single runs, as JSON can hold it."""
        baselines = {row: dict(values) for row, values in self.baselines.to_dict("index").items()}
        return {"settings": self.settings, "baselines": baselines, "claims": list(self.verdicts)}

    def write(self, out: str | Path, title: str, table: pd.DataFrame) -> None:
        """Write ``scores.csv``, ``results.json`` and ``table.md``, each whole or not at all."""
        words = [f"# {title}", markdown(table), "\n".join(f"- {line}" for line in self.sentences), RULE]
        words.append("Settings: " + json.dumps(self.settings))
        scores = self.scores.to_csv(index=False, float_format="%.9g", lineterminator="\n")
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n"
        for name, content in {CSV: scores, JSON: text, MARKDOWN: "\n\n".join(words) + "\n"}.items():
            with write_beside(Path(out) / name) as part:
                part.write_text(content, encoding="utf-8", newline="\n")

    @classmethod
    def read(cls, folder: str | Path) -> "Results":
        """Read what :meth:`write` wrote; :class:`UserError` if a file is missing or damaged."""
        folder = Path(folder)
        try:
            scores = pd.read_csv(existing_file(folder / CSV), dtype={"row": str})
            scores = scores.rename(columns={"share": "fraction"})  # as older runs call it
        except ValueError as error:  # no text, or no table
            raise UserError(folder / CSV, "is damaged", "run the experiment again") from error
        try:
            content = json.loads(existing_file(folder / JSON).read_text(encoding="utf-8"))
            found = content["baselines" if "baselines" in content else "for_nothing"]  # as older runs say
            baselines = pd.DataFrame.from_dict(found, orient="index")
            return cls(content["settings"], scores, baselines, content["claims"])
        except (ValueError, KeyError) as error:
            raise UserError(folder / JSON, "is damaged", "run the experiment again") from error


def conclude(
    settings: dict, scores: pd.DataFrame, baselines: pd.DataFrame, claims: Iterable[Claim]
) -> Results:
    """The results, with a verdict on each claim about rows that were trained, from the test set."""
    test, trained = scores[scores["set"] == "test"], set(scores["row"])
    verdicts = [judge(test, c).as_dict() for c in claims if {c.better, c.worse} <= trained]
    # through JSON, so that they are the same whether just found or read from a file
    return Results(settings, scores, baselines, json.loads(json.dumps(verdicts)))


def paper_claims(
    paper: Mapping[str, Mapping[str, float]], *claims: tuple[str, str, str, tuple[str, ...]]
) -> tuple[Claim, ...]:
    """Claims about two rows of a table of the paper, each ``(words, better, worse, scores)``."""
    return tuple(Claim(*claim, paper_difference(paper, *claim[1:])) for claim in claims)


def votes(results: Results) -> pd.DataFrame:
    """What each single seed would have said of each claim, beside what all of them say.

    A row a claim, all text: ``claim``; the mean difference in the ``paper``, where it has one, and ``here``;
    ``in favour``, the seeds whose own difference is above 0; ``verdict``.
    """
    rows = []
    for verdict in results.verdicts:
        own, row = verdict["differences"], {"claim": verdict["claim"]["words"]}
        for name, number in {"paper": verdict["claim"]["paper"], "here": verdict["mean"]}.items():
            row[name] = "-" if number is None else f"{number:+z.3f}"
        row["in favour"] = f"{sum(difference > 0 for difference in own)} of {len(own)}"
        rows.append(row | {"verdict": verdict["verdict"]})
    return pd.DataFrame(rows)


def mean_and_sd(values: pd.Series) -> str:
    """Mean and standard deviation (n - 1) of the seeds; a dash where there is nothing.

    >>> mean_and_sd(pd.Series([0.25, 0.75])), mean_and_sd(pd.Series([0.5]))
    ('0.500 ± 0.354', '0.500')
    """
    values = values.dropna()
    if values.empty:
        return "-"
    return f"{values.mean():z.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def means(runs: pd.DataFrame, scores: Sequence[str]) -> dict[str, str]:
    """:func:`mean_and_sd` of those of the scores that runs have, by their names in the tables."""
    return {SCORE_NAMES[name]: mean_and_sd(runs[name]) for name in scores if name in runs}


def beside_paper(
    results: Results,
    rows: Mapping[str, Mapping[str, str]],
    scores: Sequence[str],
    paper: Mapping[str, Mapping[str, float]],
    baselines: Mapping[str, str],
) -> pd.DataFrame:
    """A table of the paper as text: mean and standard deviation over the seeds, the paper's number beside it.

    ``rows`` gives each row its first cells, column to text, in the order of the table; rows that were not
    trained are left out. After each of the ``scores`` follows the number of ``paper``, where it has any.
    Last come the rows of ``results.baselines``, by what ``baselines`` calls them.
    """
    printed = {score for numbers in paper.values() for score in numbers}
    lines = []
    for name, cells in rows.items():
        own = results.test[results.test["row"] == name]
        if own.empty:
            continue
        line = dict(cells) | {"seeds": str(len(own))}
        for score in scores:
            line[SCORE_NAMES[score]] = mean_and_sd(own.get(score, pd.Series(dtype=float)))
            if score in printed:
                number = paper[name].get(score)
                line[f"{SCORE_NAMES[score]}, paper"] = "-" if number is None else f"{number:.3f}"
        lines.append(line)
    first, *_, last = next(iter(rows.values()))
    lines += baseline_lines(results, scores, baselines, first, last)
    return pd.DataFrame(lines).fillna("-")


def baseline_lines(
    results: Results, scores: Sequence[str], names: Mapping[str, str], first: str, last: str
) -> list[dict[str, str]]:
    """The baselines as lines of a table, under its columns ``first`` and ``last``."""
    return [
        {first: "baseline", last: words}
        | {SCORE_NAMES[score]: f"{results.baselines.at[name, score]:.3f}" for score in scores}
        for name, words in names.items()
    ]


def markdown(table: pd.DataFrame) -> str:
    """A table of texts as Markdown, without its row names.

    >>> print(markdown(pd.DataFrame({"loss": ["MSE"], "CCC-V": ["0.484"]})))
    | loss | CCC-V |
    |---|---|
    | MSE | 0.484 |
    """
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in [table.columns, *table.to_numpy()]]
    return "\n".join([lines[0], "|---" * table.shape[1] + "|", *lines[1:]])
