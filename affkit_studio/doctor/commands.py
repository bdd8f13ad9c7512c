"""The next commands for what was found: to be copied into a shell, with paths quoted where they need it."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from affkit.corpus.corpus import SUBJECTS_FILE
from affkit.labelfiles.layouts import video_of
from affkit.video.video import FPS
from affkit_studio.doctor.annotations import Annotations
from affkit_studio.doctor.case import Case
from affkit_studio.doctor.check_videos import is_constant
from affkit_studio.doctor.stores import Held

_SHARES = "0.6,0.15,0.25"  # of the videos: about what the paper has, 38, 8 and 18 of 64 (Section II.D)
_FLAT = {  # where the files of one task go, so that a layout is around them: that of the sixth challenge
    "va": "VA_Estimation_Challenge",
    "expr": "EXPR_Recognition_Challenge",
    "au": "AU_Detection_Challenge",
}


def next_commands(case: Case) -> list[str]:
    """What to run next, in order; nothing where there is nothing to run."""
    if case.found.corpora:
        return [f"affkit doctor --data {quoted(folder)}" for folder in case.found.corpora]
    used = case.found.used
    flat = [one for one in used if one.layout is None and ("mtl", "all") not in one.sources]
    labels = None
    if used:
        labels = used[0].home if len(used) == 1 else used[0].root
    if flat:
        labels = Path(unused("labels"))
    commands = [command for one in flat for command in _into_a_layout(one, labels)]
    if any(one.labelled.any() for one in case.counted):
        commands += [f"affkit stats --data {quoted(labels)}", *_split(case, labels)]
    commands += [*_agree(case), *_faces(case, labels)]
    return commands + [command for store in case.stores[:1] for command in _train(store)]


def quoted(path: Path | str) -> str:
    """A path as one word for a shell; what cannot be printed as ``$'\\xff'``, which bash understands.

    >>> print(quoted("5th ABAW Annotations"), quoted("clips"))
    '5th ABAW Annotations' clips
    """
    text = str(path)
    if text.isprintable():
        return shlex.quote(f"./{text}" if text.startswith("-") else text)
    return "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(text)) + "'"


def unused(name: str) -> str:
    """A name that nothing has where the commands will run: ``clips``, else ``clips_2`` and so on."""
    number, free = 1, name
    while Path(free).exists():
        number += 1
        free = f"{name}_{number}"
    return free


def _into_a_layout(annotations: Annotations, labels: Path) -> list[str]:
    """Copy label files that have no layout around them into one."""
    (task, _), folder = next(iter(annotations.sources.items()))
    target = quoted(labels / _FLAT[task] / "Train_Set")
    files = f"{quoted(folder)}/*.txt" if folder.is_dir() else quoted(folder)
    return [f"mkdir -p {target} && cp {files} {target}"]


def _split(case: Case, labels: Path) -> Iterator[str]:
    """Divide what is not divided; check what is."""
    sets = {(one.task, one.subset) for one in case.counted}
    names = {one.name for one in case.counted if one.labelled.any()}
    subjects = case.subjects or {}
    people = {subjects.get(name, name) for name in names}
    groups = min(len(people), len({video_of(name)[0] for name in names}))
    if len({subset for _, subset in sets}) == 1 and groups >= 3:
        yield f"affkit split --data {quoted(labels)} --sizes {_SHARES} -o {quoted(unused('partition.json'))}"
    elif len({task for task, _ in sets}) < len(sets):
        yield f"affkit split --check {quoted(labels)}"


def _agree(case: Case) -> Iterator[str]:
    """What several annotators agree on."""
    groups: dict[Path, list[Path]] = {}
    for folder in case.found.coders:
        groups.setdefault(folder.parent, []).append(folder)
    for parent, folders in groups.items():
        if len(folders) > 1 and parent != case.survey.root:
            out = unused(f"agreed_{parent.name}")
            words = " ".join(map(quoted, folders))
            if folders == case.survey.folders[parent]:
                words = f"{quoted(parent)}/*/"
            elif folders == sorted(parent.glob("*.csv")):
                words = f"{quoted(parent)}/*.csv"
            yield f"affkit agree {words} -o {quoted(out)}"


def _faces(case: Case, labels: Path | None) -> Iterator[str]:
    """From videos to a store of faces, by way of MP4 at 30 frames a second where they are something else."""
    films = case.films
    if labels is not None:
        own = {case.video(name) for name in case.names}
        films = {path: film for path, film in films.items() if path in own}
    if not films:
        return
    clips, store, known = Path(unused("clips")), quoted(unused("store")), labels
    videos = _globs(case, list(films))
    listed = any(one.listed and one.task != "mtl" for one in case.counted)
    constant = all(is_constant(film, FPS) and not film.variable for film in films.values())
    if not constant and not listed:  # lines of a list cannot be re-timed; its frames are those of the file
        folders = sorted({path.parent for path in films})
        inputs = folders if case.survey.root.is_dir() else [case.survey.root]
        known, option = _converted_labels(case, labels, clips, list(films)) if labels else (None, "")
        yield f"affkit convert {' '.join(map(quoted, inputs))} -o {quoted(clips)}{option}"
        videos = f"{quoted(clips)}/*.mp4"
    option = f" --labels {quoted(known)}" if known else ""
    yield f"affkit faces {videos} -o {store} --size 96{option}"
    yield f"affkit doctor --data {store}"


def _converted_labels(case: Case, labels: Path, clips: Path, films: Sequence[Path]) -> tuple[Path, str]:
    """Where the re-timed labels will be, and the option by which they are made."""
    beside = not case.survey.crops or (labels / SUBJECTS_FILE).is_file()
    if not beside and case.found.used[0].layout:  # to look for labels among a million crops takes long
        labels = case.found.used[0].root
    inside = any(labels.resolve() in path.resolve().parents for path in films)
    return clips if inside else clips / labels.resolve().name, f" --labels {quoted(labels)}"


def _globs(case: Case, films: Sequence[Path]) -> str:
    """Patterns for all the videos of these folders."""
    if not case.survey.root.is_dir():
        return quoted(case.survey.root)
    kinds = sorted({(path.parent, path.suffix) for path in films})
    return " ".join(f"{quoted(folder)}/*{suffix}" for folder, suffix in kinds)


def _train(store: Held) -> Iterator[str]:
    where = quoted(store.path)
    yield f"affkit train gan --data {where} --out {quoted(unused('run/gan'))} --recipe kit --steps 2000"
    if store.labelled["va"] and store.labelled["expr"]:
        yield f"affkit train mtl --data {where} --out {quoted(unused('run/mtl'))} --steps 200"
