"""All numbers of :mod:`affkit.corpus.statistics` at once: as text, as tables, as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from affkit.corpus.corpus import PARTS, Corpus, part_names
from affkit.corpus.statistics import (
    PAPER_ATTRIBUTES,
    PAPER_NOTES,
    Attributes,
    VAHistogram,
    action_unit_table,
    expression_table,
    measure,
    order_agreement,
    va_histogram,
)
from affkit.errors import UserError
from affkit.video.video import FPS


@dataclass(frozen=True)
class Statistics:
    """All numbers of a corpus; parts that it does not have are missing.

    Attributes
    ----------
    parts:
        Part to its :class:`Attributes`.
    action_units, expressions:
        See :func:`action_unit_table` and :func:`expression_table`; ``None`` without such labels.
    plane:
        Part to its :class:`VAHistogram`.
    """

    parts: Mapping[str, Attributes]
    action_units: pd.DataFrame | None
    expressions: pd.DataFrame | None
    plane: Mapping[str, VAHistogram]

    @classmethod
    def of(cls, corpus: Corpus, progress: bool = False) -> "Statistics":
        """Count everything. Raises :class:`~affkit.errors.UserError` if nothing is labelled at all."""
        present = [part for part in PARTS if part_names(corpus, part)]
        if not present:
            raise UserError(corpus.root, "no frame of it is labelled", "give a corpus with labels")
        return cls(
            {part: measure(corpus, part, progress) for part in present},
            action_unit_table(corpus) if "au" in present else None,
            expression_table(corpus) if "expr" in present else None,
            {part: va_histogram(corpus, part) for part in present},
        )

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by a name that can be a file's."""
        tables = {
            name: pd.DataFrame({"corpus": self.parts[part].rows(), "paper": PAPER_ATTRIBUTES[part].rows()})
            for name, part in {"table_1": "au", "table_4": "expr", "section_2a": "va"}.items()
            if part in self.parts
        }
        counted = {"table_3": self.action_units, "figure_3": self.expressions}
        return tables | {name: table for name, table in counted.items() if table is not None}

    def text(self) -> str:
        """All of it to be read in a terminal."""
        headings = {
            "table_1": "Part with action units (Table I)",
            "table_4": "Part with expressions (Table IV)",
            "section_2a": "All with valence and arousal (Section II.A)",
            "table_3": "Frames with each action unit, once for each person in them (Table III)",
            "figure_3": "Frames with each expression, once for each person in them (Figure 3)",
        }
        formats = dict.fromkeys(("share", "paper_share"), _percent)
        formats |= dict.fromkeys(("frames", "labelled", "paper"), _with_commas)
        blocks = []
        for name, table in self.tables().items():
            if "share" in table:
                table = table.assign(**{column: table[column].map(form) for column, form in formats.items()})
            blocks.append(f"{headings[name]}\n{table.to_string()}")
        if self.action_units is not None:
            agreement = order_agreement(self.action_units)
            words = "not defined, all counts are equal" if np.isnan(agreement) else f"{agreement:.2f}"
            blocks.append(f"Order of the action units beside the paper's: Spearman's rho {words}")
        for part, histogram in self.plane.items():
            shares = "\n".join(f"  {name}: {share:.1%}" for name, share in histogram.quadrants.items())
            blocks.append(f"{histogram.frames:,} frames of the {PARTS[part]} in the plane\n{shares}")
        blocks += [
            f"No file for {len(one.missing)} of {one.videos} videos with {PARTS[part]}: their length is that "
            f"of the labels at {FPS} frames a second.\n  {one.missing[0]}"
            for part, one in self.parts.items()
            if one.missing
        ]
        return "\n\n".join([*blocks, "In the paper itself\n" + "\n".join(f"  {x}" for x in PAPER_NOTES)])

    def as_dict(self) -> dict:
        """All of it in plain lists, numbers and text, to be written as JSON; ``None`` is not known."""
        counted = {"action_units": self.action_units, "expressions": self.expressions}
        result: dict = {
            "parts": {
                part: {"corpus": asdict(one), "paper": asdict(PAPER_ATTRIBUTES[part])}
                for part, one in self.parts.items()
            },
            "quadrants": {part: histogram.quadrants for part, histogram in self.plane.items()},
        }
        for name, table in counted.items():
            if table is not None:
                plain = table.astype(object).where(table.notna(), None)
                result[name] = plain.to_dict(orient="index")
        if self.action_units is not None:
            agreement = order_agreement(self.action_units)
            result["action_unit_order"] = None if np.isnan(agreement) else agreement
        return result


def _with_commas(count: int) -> str:
    return "" if pd.isna(count) else f"{count:,}"


def _percent(share: float) -> str:
    return "" if pd.isna(share) else f"{share:.1%}"
