"""The next commands for what was found: to be copied into a shell, with paths quoted where they need it."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from affkit.corpus.corpus import SUBJECTS_FILE, labelled_frames
from affkit.labelfiles.layouts import label_files, video_of
from affkit.labelfiles.names import as_given
from affkit.video.video import FPS
from affkit_studio.doctor.annotations import Annotations
from affkit_studio.doctor.folder import Folder

if TYPE_CHECKING:
    from affkit.store import Store

_SHARES = "0.6,0.15,0.25"  # of the videos: about what the paper has, 38, 8 and 18 of 64 (Section II.D)
_FLAT = {  # where the files of one task go, so that a layout is around them: that of the sixth challenge
    "va": "VA_Estimation_Challenge",
    "expr": "EXPR_Recognition_Challenge",
    "au": "AU_Detection_Challenge",
}


def next_commands(folder: Folder) -> list[str]:
    """What to run next, in order; nothing where there is nothing to run."""
    if folder.annotations.corpora:
        return [f"affkit doctor --data {quoted(path)}" for path in folder.annotations.corpora]
    used = folder.annotations.used
    flat = [one for one in used if one.layout is None and ("mtl", "all") not in one.sources]
    labels = None
    if used:
        labels = used[0].home if len(used) == 1 else used[0].root
    if flat:
        labels = Path(unused("labels"))
    commands = [_into_a_layout(one, labels) for one in flat]
    if any(one.labelled.any() for one in folder.counted):
        commands += [f"affkit stats --data {quoted(labels)}", *_split(folder, labels)]
    commands += [*_agree(folder), *_faces(folder, labels)]
    return commands + [command for store in folder.stores[:1] for command in _train(store)]


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


def _into_a_layout(annotations: Annotations, labels: Path) -> str:
    """Copy label files that have no layout around them into one."""
    (task, _), source = next(iter(annotations.sources.items()))
    target = quoted(labels / _FLAT[task] / "Train_Set")
    suffixes = sorted({path.suffix for path in label_files(source)} if source.is_dir() else ())
    files = " ".join(f"{quoted(source)}/*{suffix}" for suffix in suffixes) or quoted(source)
    return f"mkdir -p {target} && cp {files} {target}"


def _split(folder: Folder, labels: Path) -> Iterator[str]:
    """Divide what is not divided; check what is."""
    sets = {(one.task, one.subset) for one in folder.counted}
    names = {one.name for one in folder.counted if one.labelled.any()}
    people = {(folder.subjects or {}).get(name, name) for name in names}
    groups = min(len(people), len({video_of(name)[0] for name in names}))
    if len({subset for _, subset in sets}) == 1 and groups >= 3:
        yield f"affkit split --data {quoted(labels)} --sizes {_SHARES} -o {quoted(unused('partition.json'))}"
    elif len({task for task, _ in sets}) < len(sets):
        yield f"affkit split --check {quoted(labels)}"


def _agree(folder: Folder) -> Iterator[str]:
    """What several annotators agree on."""
    groups: dict[Path, list[Path]] = {}
    for path in folder.annotations.coders:
        groups.setdefault(path.parent, []).append(path)
    for parent, paths in groups.items():
        if len(paths) > 1 and parent != folder.listing.root:
            words = " ".join(map(quoted, paths))
            if paths == folder.listing.folders[parent]:
                words = f"{quoted(parent)}/*/"
            elif paths == sorted(parent.glob("*.csv")):
                words = f"{quoted(parent)}/*.csv"
            yield f"affkit agree {words} -o {quoted(unused(f'agreed_{parent.name}'))}"


def _faces(folder: Folder, labels: Path | None) -> Iterator[str]:
    """From videos to a store of faces, by way of MP4 at 30 frames a second where they are something else."""
    videos = folder.videos
    if labels is not None:
        own = set(map(folder.video_path, folder.names))
        videos = {path: video for path, video in videos.items() if path in own}
    if not videos:
        return
    clips, store, known, one_file = (
        Path(unused("clips")),
        quoted(unused("store")),
        labels,
        folder.listing.root,
    )
    inputs = sorted({f"{quoted(path.parent)}/*{path.suffix}" for path in videos})
    files = quoted(one_file) if one_file.is_file() else " ".join(inputs)
    listed = any(one.listed and one.task != "mtl" for one in folder.counted)
    constant = all(video.is_constant(FPS) and not video.variable for video in videos.values())
    if not constant and not listed:  # lines of a list cannot be re-timed; its frames are those of the file
        inputs = [one_file] if one_file.is_file() else sorted({path.parent for path in videos})
        known, option = _converted_labels(folder, labels, clips, list(videos)) if labels else (None, "")
        yield f"affkit convert {' '.join(map(quoted, inputs))} -o {quoted(clips)}{option}"
        files = f"{quoted(clips)}/*.mp4"
    option = f" --labels {quoted(known)}" if known else ""
    yield f"affkit faces {files} -o {store} --size 96{option}"
    yield f"affkit doctor --data {store}"


def _converted_labels(folder: Folder, labels: Path, clips: Path, videos: list[Path]) -> tuple[Path, str]:
    """Where the re-timed labels will be, and the option by which they are made."""
    beside = not folder.listing.crops or (labels / SUBJECTS_FILE).is_file()
    used = folder.annotations.used[0]
    if not beside and used.layout:  # to look for labels among a million crops takes long
        labels = used.root
    inside = any(labels.resolve() in path.resolve().parents for path in videos)
    return clips if inside else clips / as_given(labels).name, f" --labels {quoted(labels)}"


def _train(store: "Store") -> Iterator[str]:
    where = quoted(store.path)
    yield f"affkit train gan --data {where} --out {quoted(unused('run/gan'))} --recipe kit --steps 2000"
    if all(labelled_frames(store.labels, task).any() for task in ("va", "expr")):
        yield f"affkit train mtl --data {where} --out {quoted(unused('run/mtl'))} --steps 200"
