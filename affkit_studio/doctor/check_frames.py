"""Checks of lines against frames and crops: line i is frame i, counted from 1, and nothing may shift.

Public loaders of Aff-Wild2 (coder-xinxiaohai/Aff-Wild2_Processing, sucv/ABAW2, ryanhe312/ABAW2-FPNMAA) take
line i below the header with the crop ``{i:05d}.jpg``. What is looked for are the ways to differ from that.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from affkit.video.convert import nearly_as_long
from affkit_studio.doctor.case import Case
from affkit_studio.doctor.findings import Finding, plural
from affkit_studio.doctor.messages import found
from affkit_studio.doctor.survey import Crops
from affkit_studio.doctor.videos import Film

_RATES = (24, 25, 30, 50, 60)
"""Frames a second that people convert videos to before they annotate them."""


@dataclass(frozen=True)
class Pair:
    """The label lines of one person for one or several tasks, and the video."""

    name: str
    tasks: tuple[str, ...]
    lines: int
    film: Film
    listed: bool

    @property
    def more(self) -> int:
        """How many more lines than frames there are; a list may well end before the video does."""
        more = self.lines - self.film.num_frames
        return max(more, 0) if self.listed else more

    def __str__(self) -> str:
        counts = f"{plural(self.lines, 'line')}, {plural(self.film.num_frames, 'frame')}"
        return f"{self.name} ({', '.join(self.tasks)}): {counts}"


def check_lengths(case: Case) -> Iterator[Finding]:
    """Lines beside the frames of the video."""
    pairs = _pairs(case)
    grouped: dict[str, list[Pair]] = {}
    for pair in pairs:
        grouped.setdefault(why_different(pair), []).append(pair)
    for code in sorted(grouped.keys() - {""}):
        own = grouped[code]
        every = f", for all {len(own)} people" if len(own) == len(pairs) > 2 else ""
        yield from found(code, (f"{pair}{_at_rate(pair)}" for pair in own), all=every)


def check_tasks(case: Case) -> Iterator[Finding]:
    """The lines of one task beside those of another, where there is no video to say who is right."""
    lines: dict[str, dict[str, int]] = {}
    for one in case.counted:
        if not one.listed and case.film(one.name) is None:
            lines.setdefault(one.name, {})[one.task] = len(one)
    different = {name: own for name, own in lines.items() if len(set(own.values())) > 1}
    words = (
        f"{name}: {', '.join(f'{task} {n:,}' for task, n in own.items())}" for name, own in different.items()
    )
    yield from found("tasks-differ", words)


def _pairs(case: Case) -> list[Pair]:
    """The labels of all whose video is whole; a broken video has a finding of its own."""
    tasks: dict[tuple[str, int, bool], dict[str, None]] = {}
    for one in case.counted:
        film = case.film(one.name)
        if film and not film.cut and one.task != "mtl":
            tasks.setdefault((one.name, len(one), one.listed), {})[one.task] = None
    return [
        Pair(name, tuple(own), lines, case.film(name), listed) for (name, lines, listed), own in tasks.items()
    ]


def why_different(pair: Pair) -> str:
    """The code of the likeliest reason why lines and frames differ in number; "" if they do not.

    >>> from types import SimpleNamespace as Some
    >>> film = Some(num_frames=250, info=Some(duration=10.0, fps=25), variable=False)
    >>> [why_different(Pair("a", ("va",), lines, film, False)) for lines in (250, 251, 249, 300, 253, 100)]
    ['', 'one-line-more', 'one-line-less', 'other-rate', 'few-lines-differ', 'lines-far-off']
    """
    if abs(pair.more) <= 1:
        return {0: "", 1: "one-line-more", -1: "one-line-less"}[pair.more]
    if nearly_as_long(pair.lines, pair.film.num_frames):
        return "few-lines-differ"
    return "other-rate" if rate_of_lines(pair) else "lines-far-off"


def rate_of_lines(pair: Pair) -> int:
    """The frame rate at which the video would have as many frames as there are lines, or 0.

    A video of a variable rate has no rate of its own: what it becomes at 30 frames a second, which is what
    many programs extract, has other frames. A rate that hardly differs from that of the video is no reason.
    """
    info = pair.film.info
    for rate in _RATES:
        other = pair.film.variable or abs(rate - info.fps) > 0.02 * info.fps
        if other and abs(info.duration * rate - pair.lines) <= 1.5:
            return rate
    return 0


def _at_rate(pair: Pair) -> str:
    if why_different(pair) != "other-rate":
        return ""
    own = "a variable rate" if pair.film.variable else f"{float(pair.film.info.fps):.4g} a second"
    return f" at {own}; {pair.lines:,} would be {rate_of_lines(pair)} a second"


def check_crops(case: Case) -> Iterator[Finding]:
    """Lines beside the numbers of the crops."""
    lines: dict[str, int] = {}
    for one in case.counted:
        lines[one.name] = max(lines.get(one.name, 0), len(one))
    crops = {one: lines[name] for name, one in sorted(case.crops_by_name.items()) if name in lines}
    zero = [one for one in crops if one.first == 0]
    fitting = sum(one.last < crops[one] for one in zero)
    ends = {
        one: f"{case.survey.shown(one.path)}: {_ends(one, num_lines)}" for one, num_lines in crops.items()
    }
    yield from found("crops-from-zero", map(ends.get, zero), fitting=fitting, number=len(zero))
    others = [one for one in crops if one.first > 0]
    yield from found("crops-one-more", (ends[one] for one in others if one.last == crops[one] + 1))
    yield from found("crops-beyond-lines", (ends[one] for one in others if one.last > crops[one] + 1))


def _ends(crops: Crops, num_lines: int) -> str:
    return f"crops {crops.first} to {crops.last}, {plural(num_lines, 'line')}"


def check_crop_names(case: Case) -> Iterator[Finding]:
    """How the crops are called."""
    shown = case.survey.shown
    crops = {shown(folder): one for folder, one in sorted(case.survey.crops.items())}
    padded = (f"{folder}: {one.padded!r}" for folder, one in crops.items() if one.padded)
    yield from found("crop-names-padded", padded)
    width = (
        f"{name}: {one.other_width}" for name, one in crops.items() if one.other_width and not one.padded
    )
    yield from found("crop-names-width", width)
    twice = (
        f"{name}: {plural(one.repeated, 'picture')} too many" for name, one in crops.items() if one.repeated
    )
    yield from found("crop-twice", twice)


def check_listed(case: Case) -> Iterator[Finding]:
    """Files that list pictures, and the pictures."""
    missing = []
    for one in case.counted:
        crops = case.crops_by_name.get(one.name)
        if one.listed and one.task == "mtl" and crops is not None:
            frames = np.flatnonzero(one.labelled) + 1
            if gone := int((~np.isin(frames, crops.numbers)).sum()):
                missing.append(f"{one.name}: {plural(gone, 'picture')} of {len(frames):,}")
    yield from found("listed-without-crop", missing)
