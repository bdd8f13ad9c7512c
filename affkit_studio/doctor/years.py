"""Which of the corpora, and which year's challenge, a folder of annotations is from."""

import re
from collections.abc import Collection
from pathlib import Path

from affkit.labelfiles.layouts import Layout

CHALLENGES = {1: "2020", 2: "2021", 3: "2022", 4: "2022", 5: "2023", 6: "2024", 7: "2024", 8: "2025"}
"""The ABAW challenges on Aff-Wild2 and their years; the 4th and 7th were held with ECCV, multi-task only."""

# What the folders of each are called, as public loaders of them have it; where no other is named, these are
# the notebooks in src/ABAW of av-savchenko/face-emotion-recognition.
_SETS = {1, 2}  # VA_Set, AU_Set, EXPR_Set: wtomin/MIMAMO-Net, kuhnkeF/ABAW2020TNT; ryanhe312/ABAW2-FPNMAA
_CLASSIFICATION = {3, 5}  # EXPR_Classification_Challenge: abaw3_train, abaw5_expr_va_au_train
_RECOGNITION = {6, 8}  # EXPR_Recognition_Challenge: ABAW6/abaw6_affwild2
_MTL_FILES = {  # abaw3_train; abaw4_mtl_train, ABAW7/mtl
    "train_set": {3},
    "training_set_annotations": {4, 7},
}

_WORDS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_ORDINAL = re.compile(
    rf"\b(\d+)(?:st|nd|rd|th)[\W_]*ABAW|\bABAW[\W_]*(\d+)|\b({'|'.join(_WORDS)})[\W_]*ABAW", re.I
)


def challenge_in_name(folder: Path) -> int | None:
    """The number of the challenge in the name of a folder, if there is one.

    >>> [challenge_in_name(Path(name)) for name in ("5th ABAW Annotations", "Third ABAW", "ABAW7")]
    [5, 3, 7]
    """
    match = _ORDINAL.search(folder.name)
    if match is None:
        return None
    return int(match[1] or match[2]) if match[1] or match[2] else 1 + _WORDS.index(match[3].lower())


def challenges_by_folders(layout: Layout) -> set[int]:
    """The challenges whose folders are called as in the layout; none if they are of several years."""
    fitting = set(CHALLENGES)
    for (task, _), path in layout.sets.items():
        folder = path.parent.name.lower()
        if task == "mtl":
            stem = path.stem.lower()
            if stem in _MTL_FILES and all(kind == "mtl" for kind, _ in layout.sets):
                fitting &= _MTL_FILES[stem]
        elif folder.endswith("_set"):
            fitting &= _SETS
        elif "classification" in folder:
            fitting &= _CLASSIFICATION
        elif "recognition" in folder:
            fitting &= _RECOGNITION
        else:
            fitting &= _CLASSIFICATION | _RECOGNITION
    return fitting


def title(layout: Layout, above: Collection[Path], num_action_units: int | None) -> str:
    """What the annotations are, in words.

    Parameters
    ----------
    layout:
        As :func:`~affkit.labelfiles.layouts.find_layout` gives it.
    above:
        The folder of the layout and those above it whose names may tell the challenge.
    num_action_units:
        How many columns the files of action units have; eight were in use in 2020 only.
    """
    if any((path / "valence").is_dir() for path in layout.sets.values()):
        return "Aff-Wild (2017)"
    fitting = challenges_by_folders(layout)
    if fitting == _SETS and num_action_units is not None:  # twelve units in ryanhe312/ABAW2-FPNMAA
        fitting = {1} if num_action_units == 8 else {2}
    named = next((number for number in map(challenge_in_name, above) if number), None)
    if named is not None:
        year = f" ({CHALLENGES[named]})" if named in CHALLENGES else ""
        return f"Aff-Wild2, ABAW{named}{year}"
    if not fitting:
        return "Aff-Wild2, folders of several years"
    names = " or ".join(f"ABAW{number} ({CHALLENGES[number]})" for number in sorted(fitting))
    return f"annotations in the layout of Aff-Wild2, {names}"
