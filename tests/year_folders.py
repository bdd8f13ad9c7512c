"""Folders as people have them: layouts of all years, with videos and crops, and nothing wrong with them."""

import functools
import tempfile
from pathlib import Path

import numpy as np

from affkit.data.formats import ABAW_ACTION_UNITS, EXPRESSIONS_WITH_OTHER
from affkit.data.video import write_video
from affkit.labels import ACTION_UNITS, EXPRESSIONS

SPLIT = {"train": ("alpha", "two_left", "two_right"), "validation": ("gamma",)}
FRAMES = 60

TASKS = ("va", "expr", "au")
_2020 = ("VA_Set", "EXPR_Set", "AU_Set")
_2022 = ("VA_Estimation_Challenge", "EXPR_Classification_Challenge", "AU_Detection_Challenge")
_2024 = ("VA_Estimation_Challenge", "EXPR_Recognition_Challenge", "AU_Detection_Challenge")
SETS = ("Train_Set", "Validation_Set")
# Year to: where the annotations are, folder of each task and of each set, action units, expressions
LAYOUTS = {
    "ABAW1": ("", _2020, ("Training_Set", "Validation_Set"), ACTION_UNITS, EXPRESSIONS),
    "ABAW2": ("annotations/", _2020, SETS, ABAW_ACTION_UNITS, EXPRESSIONS),
    "ABAW3": ("Third ABAW Annotations/", _2022, SETS, ABAW_ACTION_UNITS, EXPRESSIONS_WITH_OTHER),
    "ABAW5": ("5th ABAW Annotations/", _2022, SETS, ABAW_ACTION_UNITS, EXPRESSIONS_WITH_OTHER),
    "ABAW6": ("6th ABAW Annotations/", _2024, SETS, ABAW_ACTION_UNITS, EXPRESSIONS_WITH_OTHER),
}
LISTS = {
    "ABAW3 multi-task": ("3rd ABAW Annotations/MTL_Challenge", "train_set.txt", "validation_set.txt"),
    "ABAW4": ("ABAW4", "training_set_annotations.txt", "validation_set_annotations.txt"),
    "ABAW7": ("7th ABAW/MTL_Challenge", "training_set_annotations.txt", "validation_set_annotations.txt"),
}
YEARS = (*LAYOUTS, *LISTS, "Aff-Wild")


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def label_lines(task: str, header: tuple[str, ...], frames: int, missing: int = 1) -> list[str]:
    """A header and lines; the last ``missing`` frames are marked as not labelled."""
    if task == "va":
        lines = [f"{i / (2 * frames):.3f},{-1 if i % 5 == 4 else 0.5}" for i in range(frames)]
        mark = "-5,-5"
    elif task == "expr":
        lines, mark = [str(i % 7) for i in range(frames)], "-1"
    else:
        lines = [",".join(str((i + j) % 2) for j in range(len(header))) for i in range(frames)]
        mark = ",".join(["-1"] * len(header))
    return [",".join(header), *lines[: frames - missing], *([mark] * missing)]


def make_year(root: Path, year: str, frames: int = FRAMES, missing: int = 1, split=SPLIT) -> Path:
    """A folder of the annotations of ``year`` with videos and crops, without any fault; returns ``root``."""
    if year in LAYOUTS:
        above, folders, sets, units, expressions = LAYOUTS[year]
        headers = (("valence", "arousal"), expressions, units)
        for task, folder, header in zip(TASKS, folders, headers, strict=True):
            for subset, names in zip(sets, split.values(), strict=True):
                for name in names:
                    path = root / above / folder / subset / f"{name}.txt"
                    write(path, label_lines(task, header, frames, missing))
    elif year in LISTS:
        folder, *files = LISTS[year]
        for file, names in zip(files, split.values(), strict=True):
            write(root / folder / file, listed_lines(names, frames, missing))
    else:
        for name in split["train"]:
            values = [f"{i / (2 * frames):.3f}" for i in range(frames - missing)] + ["-5"] * missing
            for part in ("valence", "arousal"):
                write(root / "annotations" / "train" / part / f"{name}.txt", values)
        split = {"train": split["train"]}
    for name in (name for names in split.values() for name in names):
        add_video(root / "videos" / f"{name.removesuffix('_left').removesuffix('_right')}.mp4", frames)
        add_crops(root / "cropped_aligned" / name, range(1, frames + 1))
    return root


def listed_lines(names, frames: int, missing: int) -> list[str]:
    """The multi-task file: 16 columns, all marked in the last ``missing`` frames."""
    lines = ["image,valence,arousal,expression," + ",".join(ABAW_ACTION_UNITS)]
    for name in names:
        for i in range(1, frames + 1):
            values = "0.5,-0.25,4" + ",0,1" * 6 if i <= frames - missing else "-5,-5,-1" + ",-1" * 12
            lines.append(f"{name}/{i:05d}.jpg,{values}")
    return lines


def add_crops(folder: Path, numbers, form: str = "{:05d}.jpg") -> None:
    """Empty files: names are all that is looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / form.format(number)).touch()


def add_video(path: Path, frames: int = FRAMES, **how) -> Path:
    """A video; those of different names differ in their pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_video(path.name, frames, tuple(how.items())))
    return path


@functools.cache
def _video(name: str, frames: int, how: tuple) -> bytes:
    rng = np.random.default_rng(list(name.encode()))
    pictures = (rng.integers(0, 255, (32, 48, 3), np.uint8) for _ in range(frames))
    with tempfile.TemporaryDirectory() as folder:
        write_video(f"{folder}/{name}", pictures, **dict(how))
        return Path(folder, name).read_bytes()
