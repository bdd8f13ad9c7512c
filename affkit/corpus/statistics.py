"""The numbers of the paper's Section II for any corpus, beside the paper's own.

Where two people share a video, two counts differ: *frames of a video* are pictures (Tables I and IV);
*labelled frames* count once for each person in them (Table III and the figures).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from tqdm import tqdm

from affkit.corpus.corpus import PARTS, Corpus, part_names
from affkit.errors import UserError
from affkit.labelfiles.layouts import video_of
from affkit.labelfiles.names import is_left_over
from affkit.labels import ACTION_UNIT_NAMES, ACTION_UNITS, EXPRESSIONS
from affkit.video.video import FPS, Video

ALL_FRAMES = "all frames"
ANY_UNIT, ANY_EXPRESSION = "at least one", "one of the seven"

VA_BINS = 40  # a side; even, so that an edge lies at 0


@dataclass(frozen=True)
class Attributes:
    """The rows of Tables I and IV; ``None`` or nothing stands for what is not known."""

    frames: int  # of videos: those with two people count once
    videos: int
    subjects: int
    genders: Mapping[str, int] = field(default_factory=dict)  # number of subjects, most frequent first
    annotators: int | None = None
    seconds: tuple[float, float] | None = None  # shortest, longest video
    formats: tuple[str, ...] = ()  # suffixes of the video files in capitals
    resolution: tuple[float, float] | None = None  # mean width, height in pixels
    missing: tuple[str, ...] = ()  # why the file of a video is not found; its length is that of the labels

    def rows(self) -> dict[str, str]:
        """The attributes in words, under the paper's headings."""
        size = "{:.0f} x {:.0f}".format(*self.resolution) if self.resolution else "not known"
        genders = "; ".join(f"{number} {gender}" for gender, number in self.genders.items())
        here = f" ({self.videos - len(self.missing)} of {self.videos} are here)" if self.missing else ""
        return {
            "No of frames": f"{self.frames:,}",
            "No of videos": str(self.videos),
            "No of subjects": f"{self.subjects} ({genders})" if genders else str(self.subjects),
            "No of annotators": "not known" if self.annotators is None else str(self.annotators),
            "Length of videos": " - ".join(map(_spoken, self.seconds)) if self.seconds else "not known",
            "Video format": ", ".join(self.formats) + here if self.formats else "not known",
            "Mean image resolution": size,
        }


PAPER_ATTRIBUTES = {
    "au": Attributes(234_000, 64, 64, {"male": 40, "female": 24}, 3, (3, 981), ("MP4",), (827, 516)),
    "expr": Attributes(288_000, 55, 56, {"male": 25, "female": 31}, 3, (4, 1582), ("MP4",), (1297, 775)),
    "va": Attributes(1_180_000, 298, 200, {"male": 130, "female": 70}, 8),
}
"""Tables I (3 s - 16 min 21 s) and IV (4 s - 26 min 22 s), and Section II.A of the paper."""

# frames with each unit (Table III), with at least one of them, and all (Section II.B)
_ACTIVE = (43_948, 25_312, 38_879, 48_185, 45_291, 7_023, 9_270, 17_741)
PAPER_ACTION_UNITS = dict(zip(ACTION_UNITS, _ACTIVE, strict=True)) | {ANY_UNIT: 139_298, ALL_FRAMES: 234_000}
# with one of the seven, and all (Section II.C); Figure 3 has no numbers for each
PAPER_EXPRESSIONS = {ANY_EXPRESSION: 115_640, ALL_FRAMES: 288_000}

PAPER_NOTES = (  # what does not fit together in the paper's numbers, and what does
    "Frames of Aff-Wild: about 1,200,000 of 300 videos (abstract), 1,180,000 of 298 videos (Section II.A).",
    "Length of Aff-Wild: over 60 hours (Section I), more than 30 hours (Section II.A); "
    "1,180,000 frames at 30 a second are 11 hours.",
    "The two parts agree: 234,000 frames at 30 a second are the 2 h 10 min of Section II.B, "
    "288,000 are the 2 h 40 min of Section II.C.",
    "Frames with several units: Table III sums to 235,649 in 139,298 frames with at least one, "
    "1.7 units in each.",
)


def measure(corpus: Corpus, part: str, progress: bool = False) -> Attributes:
    """Count what Tables I and IV count, in one of ``PARTS``; annotators are in ``coders`` or ``raters``."""
    names = part_names(corpus, part)
    rows: dict[Path | str, int] = {}  # file, or name of a video that is not there: frames
    missing = {}
    for name in names:
        try:
            video: Path | str = corpus.video_path(name)
        except UserError as error:
            video = video_of(name)[0]
            missing[video] = str(error)
        rows[video] = max(rows.get(video, 0), len(corpus.labels[name]))
    found, infos = sorted(rows.keys() - missing.keys()), {}
    for path in tqdm(found, desc="videos", unit="video", delay=2, disable=not progress):
        with Video(path) as infos[path]:
            pass  # what it is, is known from opening it
    seconds = [infos[video].duration if video in infos else rows[video] / FPS for video in rows]
    sizes = [(info.width, info.height) for info in infos.values()]
    folder = corpus.root / ("raters" if part == "va" else "coders")
    annotators = [path for path in folder.glob("*") if path.is_dir() or path.suffix == ".csv"]
    annotators = [path for path in annotators if not is_left_over(path.name)]
    people = corpus.attributes.reindex(index=names, columns=["subject", "gender"], fill_value="")
    people = people.drop_duplicates("subject")
    return Attributes(
        frames=sum(rows.values()),
        videos=len(rows),
        subjects=len({corpus.subjects[name] for name in names}),
        genders=people.loc[people["gender"] != "", "gender"].value_counts().to_dict(),
        annotators=len(annotators) if folder.is_dir() else None,
        seconds=(min(seconds), max(seconds)) if seconds else None,
        formats=tuple(sorted({path.suffix[1:].upper() for path in infos})),
        resolution=tuple(np.mean(sizes, axis=0).tolist()) if sizes else None,
        missing=tuple(missing.values()),
    )


def attributes(corpus: Corpus, part: str, progress: bool = False) -> pd.DataFrame:
    """Table I (``"au"``), IV (``"expr"``) or Section II.A (``"va"``): :func:`measure`, and the paper's."""
    return _beside_paper(measure(corpus, part, progress), part)


def _beside_paper(found: Attributes, part: str) -> pd.DataFrame:
    return pd.DataFrame({"corpus": found.rows(), "paper": PAPER_ATTRIBUTES[part].rows()})


def action_unit_table(corpus: Corpus) -> pd.DataFrame:
    """Table III: in how many frames each unit is active, also the units the paper lacks, and any of its
    eight; ``fraction`` is of all frames, 0 to 1, ``labelled`` counts where the unit is known.
    """
    known = next((labels.action_unit_names for labels in corpus.labels.values()), ())
    units = (*ACTION_UNITS, *(unit for unit in known if unit not in ACTION_UNITS))
    rows = [*units, ANY_UNIT, ALL_FRAMES]
    active, labelled = np.zeros((2, len(rows)), np.int64)
    for name in part_names(corpus, "au"):
        labels = corpus.labels[name].with_action_units(units)
        known, eight = labels.has_action_units, slice(len(ACTION_UNITS))  # (T, U)
        on = (labels.action_units == 1) & known
        active += [*on.sum(axis=0), on[:, eight].any(axis=1).sum(), len(labels)]
        labelled += [*known.sum(axis=0), known[:, eight].any(axis=1).sum(), known.any(axis=1).sum()]
    table = _count_table(rows, active, labelled, PAPER_ACTION_UNITS)
    table.insert(0, "description", [ACTION_UNIT_NAMES.get(unit, "") for unit in table.index])
    return table


def expression_table(corpus: Corpus) -> pd.DataFrame:
    """Figure 3 in numbers: rows are the classes of the corpus, one of the paper's seven, and all frames."""
    classes = next((labels.expression_names for labels in corpus.labels.values()), EXPRESSIONS)
    counts, frames = np.zeros(len(classes), np.int64), 0
    for name in part_names(corpus, "expr"):
        labels = corpus.labels[name]
        counts += np.bincount(labels.expression[labels.has_expression], minlength=len(classes))
        frames += len(labels)
    seven = counts[[name in EXPRESSIONS for name in classes]].sum()
    rows = [*classes, ANY_EXPRESSION, ALL_FRAMES]
    labelled = np.full(len(rows), counts.sum())
    return _count_table(rows, np.array([*counts, seven, frames]), labelled, PAPER_EXPRESSIONS)


def order_agreement(table: pd.DataFrame) -> float:
    """Spearman's rank correlation of counts with the paper's over its eight units; NaN where all counts are
    equal.

    >>> table = pd.DataFrame({"frames": range(8), "paper": range(10, 18)}, index=ACTION_UNITS)
    >>> order_agreement(table)
    1.0
    """
    eight = table.loc[list(ACTION_UNITS)]
    if eight["frames"].nunique() == 1:
        return float("nan")
    return round(float(spearmanr(eight["frames"], eight["paper"].astype(float)).statistic), 4)


@dataclass(frozen=True)
class VAHistogram:
    """How often each place of the valence-arousal plane occurs (Figures 2 and 4)."""

    counts: np.ndarray  # (B, B) frames; rows are valence, columns arousal, both rising
    edges: np.ndarray  # (B + 1,) from -1 to 1; a bin holds its lower edge, the last one both

    @property
    def frames(self) -> int:
        return int(self.counts.sum())

    @property
    def quadrants(self) -> dict[str, float]:
        """Fraction of frames in each quarter of the plane; what is exactly 0 counts as positive."""
        half = len(self.counts) // 2
        fractions = self.counts.reshape(2, half, 2, half).sum(axis=(1, 3)).ravel() / max(self.frames, 1)
        signs = product(("negative", "positive"), repeat=2)
        return {f"{v} valence, {a} arousal": x for (v, a), x in zip(signs, fractions.tolist(), strict=True)}


def va_histogram(corpus: Corpus, part: str = "va", bins: int = VA_BINS) -> VAHistogram:
    """One of ``PARTS`` in the plane: ``"au"`` is Figure 2, ``"expr"`` Figure 4; ``bins`` is even."""
    if bins < 2 or bins % 2:
        raise ValueError(f"bins is {bins}, expected an even number above 0")
    edges = np.linspace(-1, 1, bins + 1)
    counts = np.zeros((bins, bins), np.int64)
    for name in part_names(corpus, part):
        labels = corpus.labels[name]
        valence, arousal = labels.valence[labels.has_va], labels.arousal[labels.has_va]
        counts += np.histogram2d(valence, arousal, bins=(edges, edges))[0].astype(np.int64)
    return VAHistogram(counts, edges)


def _count_table(rows: list[str], counts: np.ndarray, labelled: np.ndarray, paper: dict) -> pd.DataFrame:
    columns = {"frames": counts, "fraction": counts / max(counts[-1], 1), "labelled": labelled}
    paper = pd.Series(paper, rows, dtype="Int64")
    columns |= {"paper": paper, "paper_fraction": (paper / paper[ALL_FRAMES]).astype(float)}
    return pd.DataFrame(columns, rows)


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} mins {rest} secs" if minutes else f"{rest} secs"


_TABLES = {  # what it is of, and its heading
    "table_1": ("au", "Part with action units (Table I)"),
    "table_4": ("expr", "Part with expressions (Table IV)"),
    "section_2a": ("va", "All with valence and arousal (Section II.A)"),
    "table_3": ("action units", "Frames with each action unit, once for each person in them (Table III)"),
    "figure_3": ("expressions", "Frames with each expression, once for each person in them (Figure 3)"),
}


@dataclass(frozen=True)
class Statistics:
    """All numbers of a corpus: as text, as tables, as JSON; parts that it does not have are missing."""

    parts: Mapping[str, Attributes]
    action_units: pd.DataFrame | None  # action_unit_table; None without such labels
    expressions: pd.DataFrame | None
    plane: Mapping[str, VAHistogram]  # by part

    @classmethod
    def of(cls, corpus: Corpus, progress: bool = False) -> "Statistics":
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
        counted = {"action units": self.action_units, "expressions": self.expressions}
        counted |= {part: _beside_paper(one, part) for part, one in self.parts.items()}
        return {name: table for name, (of, _) in _TABLES.items() if (table := counted.get(of)) is not None}

    def text(self) -> str:
        formats = dict.fromkeys(("fraction", "paper_fraction"), "{:.1%}")
        formats |= dict.fromkeys(("frames", "labelled", "paper"), "{:,}")
        blocks = []
        for name, table in self.tables().items():
            if "fraction" in table:
                texts = {
                    key: table[key].map(form.format, na_action="ignore") for key, form in formats.items()
                }
                table = table.assign(**texts).fillna("")
            blocks.append(f"{_TABLES[name][1]}\n{table.to_string()}")
        if self.action_units is not None:
            agreement = order_agreement(self.action_units)
            words = "not defined, all counts are equal" if np.isnan(agreement) else f"{agreement:.2f}"
            blocks.append(f"Order of the action units beside the paper's: Spearman's rho {words}")
        for part, histogram in self.plane.items():
            fractions = "\n".join(
                f"  {name}: {fraction:.1%}" for name, fraction in histogram.quadrants.items()
            )
            blocks.append(f"{histogram.frames:,} frames of the {PARTS[part]} in the plane\n{fractions}")
        for part, one in self.parts.items():
            if one.missing:
                of = f"{len(one.missing)} of {one.videos} videos with {PARTS[part]}"
                length = f"their length is that of the labels at {FPS} frames a second"
                blocks.append(f"No file for {of}: {length}.\n  {one.missing[0]}")
        return "\n\n".join([*blocks, "In the paper itself\n" + "\n".join(f"  {x}" for x in PAPER_NOTES)])

    def as_dict(self) -> dict:
        """All of it in plain lists, numbers and text, to be written as JSON; ``None`` is not known."""
        result = {"parts": {}, "quadrants": {part: one.quadrants for part, one in self.plane.items()}}
        for part, one in self.parts.items():
            result["parts"][part] = {"corpus": asdict(one), "paper": asdict(PAPER_ATTRIBUTES[part])}
        for name in ("action_units", "expressions"):
            if (table := getattr(self, name)) is not None:
                result[name] = table.astype(object).where(table.notna(), None).to_dict(orient="index")
        if self.action_units is not None:
            agreement = order_agreement(self.action_units)
            result["action_unit_order"] = None if np.isnan(agreement) else agreement
        return result
