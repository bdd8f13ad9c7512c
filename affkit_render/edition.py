"""The annotated corpus: the two parts of Section II of the paper, drawn at any size.

64 videos of 64 people for action units and 55 videos of 56 people for expressions, all with valence and
arousal. The two share as many files as the paper's counts of men and women allow: 49. The labels are not
the truth: they are what three coders and eight raters made of it (:mod:`affkit_render.annotators`), combined
as in Section III.D. The truth stays in ``truth/``, for exercises.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from affkit.corpus.agreement import agree, combine_ratings, read_annotators, write_agreement
from affkit.corpus.reliability import agreement_table
from affkit.errors import UserError
from affkit.labelfiles.formats import merge
from affkit_render.annotators import CODER_FOLDER, RATER_FOLDER, annotate_corpus
from affkit_render.corpus import ClipPlan, PersonPlan, film_all
from affkit_render.wild import OCCLUDERS

PARTS = ("au", "expression")

PAPER_FRAMES = {"au": 234_000, "expression": 288_000}
"""Frames of the two parts (Tables I and IV)."""

KIT, KIT_SEED = 0.1, 50
"""The corpus in ``data_samples``: its size as a fraction of the paper's, and its seed. Of the first 60 seeds
this has action units in the order of Table III and with the fractions nearest to it."""

KIT_ANNOTATORS = 57
"""The seed of the coders and raters of that corpus. Of the first 60 this has agreed action units nearest to
Table III. Its coders agree on an expression somewhere in every clip of the expression part: a clip of which
nothing is left would not be in it."""

LARGEST_LAG_SECONDS = 3.0
"""How far apart the raters of valence and arousal may be when their ratings are put in step."""

_SHARED_FRAMES = 190_000  # of both parts, at the paper's size; the paper does not say how many they share
_SMALLEST_FACE = 118  # pixels of height
_LEAST_WIDTH = 96  # pixels: the crops of Section III.E are never enlarged

KIT_SIZES = {(320, 240): 0.5, (426, 240): 0.25, (240, 320): 0.1, (480, 360): 0.08, (640, 360): 0.07}
PAPER_SIZES = {(640, 360): 0.45, (640, 480): 0.2, (854, 480): 0.15, (1280, 720): 0.15, (1920, 1080): 0.05}
"""Width and height of the pictures, and how often. The paper's videos have 827 x 516 pixels on average in one
part and 1297 x 775 in the other."""


@dataclass(frozen=True)
class Group:
    """Clips that belong to the same parts: who is in them, and how long they are at the paper's size.

    ``genders`` has one letter a clip, or two where two people share it; ``shortest`` is in seconds (Tables I
    and IV), and does not shrink with the corpus; ``spread`` is that of the logarithm of the lengths.
    """

    parts: tuple[str, ...]
    genders: Sequence[str]
    frames: int
    shortest: float
    spread: float


GROUPS = (
    Group(PARTS, ["m"] * 25 + ["f"] * 24, _SHARED_FRAMES, 4, 0.8),
    Group(("au",), ["m"] * 15, PAPER_FRAMES["au"] - _SHARED_FRAMES, 3, 0.8),
    Group(("expression",), ["ff"] + ["f"] * 5, PAPER_FRAMES["expression"] - _SHARED_FRAMES, 6, 0.6),
)
"""40 men and 24 women for action units, 25 men and 31 women for expressions."""


def plan_corpus(fraction: float = KIT, seed: int = 0, fps: int = 30) -> list[ClipPlan]:
    """Who is in which of the 70 clips, and how long it is.

    ``fraction``: Length of everything as a fraction of the paper's; 1 plans its 234,000 and 288,000 frames.

    >>> plans = plan_corpus(fraction=1)
    >>> sum(len(plan.times) for plan in plans if "au" in plan.parts)
    234000
    """
    rng = np.random.default_rng([seed, 70])
    clips = [(group, genders) for group in GROUPS for genders in group.genders]
    frames = [number for group in GROUPS for number in _lengths(rng, group, fraction, fps)]
    order = rng.permutation(len(clips))  # so that a name does not tell the part
    subjects = iter(rng.permutation(sum(len(genders) for _, genders in clips)) + 1)
    plans = []
    for number, index in enumerate(order, 1):
        group, genders = clips[index]
        people = [f"subject_{next(subjects):02d}" for _ in genders]
        seconds = frames[index] / fps
        plans.append(
            _clip(f"clip_{number:02d}", [seed, 71, number], group, genders, people, seconds, fraction)
        )
    return plans


def read_scale(text: str) -> float:
    """The fraction of the paper's size that ``kit``, ``paper`` or a number stands for.

    >>> read_scale("paper"), read_scale("0.1")
    (1.0, 0.1)
    """
    named = {"kit": KIT, "paper": 1.0}
    try:
        fraction = named[text] if text in named else float(text)
    except ValueError:
        fraction = 0.0
    if not 0 < fraction <= 10:
        raise UserError("--scale", f"{text!r} is no size", "give kit, paper or a number such as 0.1")
    return fraction


def _lengths(rng: np.random.Generator, group: Group, fraction: float, fps: int) -> list[int]:
    """Frames of each clip of a group: log-normal above the shortest, which the first clip has."""
    num, shortest = len(group.genders), round(group.shortest * fps)
    total = max(round(group.frames * fraction), num * shortest)
    weights = rng.lognormal(0, group.spread, num - 1)
    ends = np.rint(np.cumsum(weights) / weights.sum() * (total - num * shortest)).astype(int)
    return [shortest, *(shortest + np.diff(ends, prepend=0)).tolist()]


def _clip(
    name: str, seed: list[int], group: Group, genders: str, people: list[str], seconds: float, fraction: float
) -> ClipPlan:
    rng = np.random.default_rng(seed)
    sizes = KIT_SIZES if fraction < 0.5 else PAPER_SIZES
    width, height = list(sizes)[rng.choice(len(sizes), p=list(sizes.values()))]
    if len(people) == 2:
        width, height = (480, 270) if fraction < 0.5 else (1280, 720)
    largest = min(0.62 * height, 0.55 * width, 0.62 * 480)
    sides = ("left", "right") if len(people) == 2 else ("",)
    centres = (0.28, 0.72) if len(people) == 2 else (rng.uniform(0.42, 0.58),)
    leaves = len(people) == 1 and seconds > 6 and rng.uniform() < 0.35
    gone = rng.uniform(1.5, seconds - 3.5) if leaves else 0.0
    cast = tuple(
        PersonPlan(
            subject=person,
            seed=int(rng.integers(2**31)),
            face=round(float(rng.uniform(_SMALLEST_FACE, largest)), 1),
            least_width=_LEAST_WIDTH,
            gender="male" if gender == "m" else "female",
            side=side,
            centre=(round(float(centre), 3), 0.52),
            away=(round(gone, 2), round(gone + 1.2 + rng.uniform(0, 0.8), 2)) if leaves else None,
        )
        for person, gender, side, centre in zip(people, genders, sides, centres, strict=True)
    )
    return ClipPlan(
        name,
        cast,
        seconds,
        seed=int(rng.integers(2**31)),
        size=(width, height),
        crf=int(rng.integers(23, 30)),
        occluder=str(rng.choice(OCCLUDERS)) if rng.uniform() < 0.2 else None,
        noise=round(float(rng.uniform(0.5, 2.5)), 2),
        parts=group.parts,
    )


def make_corpus(
    out: str | Path,
    fraction: float = KIT,
    seed: int = KIT_SEED,
    annotators: int = KIT_ANNOTATORS,
    jobs: int = 1,
    force: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Film the whole corpus and have it annotated; returns the video files.

    ``seed`` decides who is filmed and how, ``annotators`` who annotates.

    Same arguments, same labels and pixels. A run that was stopped goes on where it was.
    Raises :class:`~affkit.errors.UserError` if ``out`` holds something else, or the finished corpus.
    """
    plans = plan_corpus(fraction, seed)
    videos = film_all(plans, out, jobs, force, progress)
    label_corpus(plans, out, annotators, progress)
    return videos


def label_corpus(plans: Sequence[ClipPlan], out: str | Path, seed: int, progress: bool = True) -> None:
    """Coders and raters annotate what was filmed; what they agree on becomes the labels of the corpus.

    Action units and expressions stay where all three coders say the same. Valence and arousal are the mean of
    the raters, put in step with the fastest of them.
    """
    out = Path(out)
    named = {part: [n for plan in plans if part in plan.parts for n in plan.names()] for part in PARTS}
    annotate_corpus(out, seed, named["au"], named["expression"], force=True, progress=progress)
    coders = read_annotators(sorted((out / CODER_FOLDER).iterdir()))
    raters = read_annotators(sorted((out / RATER_FOLDER).iterdir()))
    agreed = agree(coders)
    rated = combine_ratings(raters, round(LARGEST_LAG_SECONDS * plans[0].fps))
    labels = {name: merge(one, *filter(None, [agreed.get(name)]), name=name) for name, one in rated.items()}
    write_agreement(out / "annotations", labels, agreement_table(coders | raters), force=True)


@dataclass(frozen=True)
class Estimate:
    """What a corpus will take: frames, seconds of one core, bytes of video, and of text beside it."""

    frames: int
    seconds: float
    video_bytes: float
    text_bytes: float

    def text(self, jobs: int) -> str:
        """One line for people."""
        hours, gigabytes = self.seconds / 3600 / jobs, (self.video_bytes + self.text_bytes) / 1e9
        return (
            f"{self.frames:,} frames: about {hours:.1f} hours ({jobs} at a time), {gigabytes:.2f} GB on disk"
        )


_TEXT_BYTES_A_FRAME = 400  # truth, three coders, eight raters and the labels
_PROBE_FRAMES = 6


def estimate(plans: Sequence[ClipPlan]) -> Estimate:
    """Film the first frames of a small and of a large clip, then reckon by the area of a picture."""
    by_area = {_area(plan): plan for plan in plans}
    tried = sorted({min(by_area), max(by_area)})
    with TemporaryDirectory() as folder:
        measured = np.array([_probe(by_area[area], Path(folder, f"{area}")) for area in tried])  # (2, 2)
    areas, frames = [_area(plan) for plan in plans], np.array([len(plan.times) for plan in plans])
    seconds, size = (float(frames @ np.interp(areas, tried, column)) for column in measured.T)
    return Estimate(int(frames.sum()), seconds + 2 * len(plans), size, _TEXT_BYTES_A_FRAME * frames.sum())


def _area(plan: ClipPlan) -> int:
    return plan.size[0] * plan.size[1]


def _probe(plan: ClipPlan, folder: Path) -> tuple[float, float]:
    """Seconds and bytes that a frame of ``plan`` takes."""
    short = replace(plan, name="probe", seconds=_PROBE_FRAMES / float(plan.fps), parts=None)
    film_all([short], folder / "once", progress=False)  # the head is made, and is kept for the second time
    start = time.perf_counter()
    film_all([short], folder / "again", progress=False)
    seconds = time.perf_counter() - start
    first_picture_is_large = 3  # times a frame in the middle of a clip
    size = short.video(folder / "again").stat().st_size / first_picture_is_large
    return seconds / _PROBE_FRAMES, size / _PROBE_FRAMES
