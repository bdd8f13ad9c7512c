"""Checks of videos: which cannot be read or are not what they seem, and which belong to which labels."""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from affkit.errors import UserError
from affkit.labelfiles.layouts import video_of
from affkit.video.video import FPS
from affkit_studio.doctor.case import Case
from affkit_studio.doctor.findings import Finding
from affkit_studio.doctor.messages import found
from affkit_studio.doctor.videos import Film

_SAMPLE = 1 << 16  # bytes of the beginning and of the end of a file that are compared


def check_films(case: Case) -> Iterator[Finding]:
    """Videos by themselves."""
    shown = case.survey.shown
    broken = (f"{shown(path)}: {e.problem}" for path, e in case.watched.items() if isinstance(e, UserError))
    yield from found("video-unreadable", broken)
    films = {shown(path): film for path, film in case.films.items()}
    yield from found("video-cut", (name for name, film in films.items() if film.cut))
    yield from found("video-variable", (name for name, film in films.items() if film.variable))
    turned = ((name, film.info.rotation) for name, film in films.items())
    yield from found("video-turned", (f"{name}: {degrees} degrees" for name, degrees in turned if degrees))
    rates = ((name, film.info.fps) for name, film in films.items() if not is_constant(film, FPS))
    yield from found("video-rate", (f"{name}: {float(fps):.4g}" for name, fps in rates))


def is_constant(film: Film, fps: float) -> bool:
    """Whether a video has a rate of ``fps``, or a variable one, which is another matter."""
    return film.variable or abs(film.info.fps - fps) < 0.005 * fps  # NTSC's 29.97 is a tenth of a percent


def check_pairing(case: Case) -> Iterator[Finding]:
    """Labels, videos and crops by name."""
    if not case.names:
        return
    videos, crops = case.videos_by_stem, case.crops_by_name
    no_video = [name for name in case.names if videos and case.video(name) is None]
    no_crops = [name for name in case.names if crops and name not in crops]
    taken = {case.video(name).stem for name in case.names if case.video(name)}
    almost = _almost_same(no_video, videos.keys() - taken)
    almost |= _almost_same(no_crops, crops.keys() - set(case.names))
    pairs = (f"{name}: the other is called {other}" for name, other in sorted(almost.items()))
    yield from found("almost-same-name", pairs)
    yield from found("labels-without-video", (name for name in no_video if name not in almost))
    yield from found("labels-without-crops", (name for name in no_crops if name not in almost))
    if any(not fault.name for contents in case.read for fault in contents.faults):
        return  # a list cannot be read, so what else is labelled is not known
    known = {*case.names, *almost.values(), *case.test_names}
    stems = known | {video_of(name)[0] for name in known}
    shown = case.survey.shown
    spare = (shown(paths[0]) for stem, paths in sorted(videos.items()) if stem not in stems)
    yield from found("video-without-labels", spare)
    spare = (shown(one.path) for name, one in sorted(crops.items()) if name not in known)
    yield from found("crops-without-labels", spare)


def _almost_same(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Name to another one that only looks the same, or would on another system."""
    by_key = {_key(other): other for other in others}
    pairs = {}
    for name in names:
        for stem in (name, video_of(name)[0]):
            if by_key.get(_key(stem), stem) != stem:
                pairs.setdefault(name, by_key[_key(stem)])
    return pairs


def _key(name: str) -> str:
    """What is left of a name without capitals, spaces, hyphens and the ways to write an accent."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if letter not in " _-.")


def check_twice(case: Case) -> Iterator[Finding]:
    """Videos of the same name, and the same video under two names."""
    shown = case.survey.shown
    twice = [paths for paths in case.videos_by_stem.values() if len(paths) > 1]
    yield from found("video-twice", (" and ".join(map(shown, paths)) for paths in twice))
    sets: dict[str, set[tuple[str, str]]] = {}
    for one in case.counted:
        sets.setdefault(video_of(one.name)[0], set()).add((one.task, one.subset))
    copies: dict[bool, list[str]] = {True: [], False: []}
    for paths in same_files(path for path in case.films if path == case.videos_by_stem[path.stem][0]):
        own = set().union(*(sets.get(path.stem, set()) for path in paths))
        in_two = len({task for task, _ in own}) < len(own)
        copies[in_two].append(" and ".join(map(shown, paths)))
    yield from found("same-video-in-two-sets", copies[True])
    yield from found("same-video", copies[False])


def same_files(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of files of one size whose beginnings and ends are the same, which is as good as the whole."""
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        by_size.setdefault(path.stat().st_size, []).append(path)
    groups: dict[tuple[int, bytes], list[Path]] = {}
    for size, own in by_size.items():
        for path in own if size and len(own) > 1 else []:
            groups.setdefault((size, _digest(path, size)), []).append(path)
    return [sorted(own) for own in groups.values() if len(own) > 1]


def _digest(path: Path, size: int) -> bytes:
    with open(path, "rb") as file:
        start = file.read(_SAMPLE)
        file.seek(max(0, size - _SAMPLE))
        return hashlib.blake2b(start + file.read()).digest()
