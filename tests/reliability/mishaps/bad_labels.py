"""Label files of each layout, spoiled, for the commands that read them."""

from collections.abc import Iterator

from mishaps.faults import CELL_FAULTS, FILE_FAULTS, HEADER_FAULTS, TEXT_FAULTS, WIDTH_FAULTS
from mishaps.judge import BadInput

ALL = FILE_FAULTS | TEXT_FAULTS | CELL_FAULTS
TABLE = ALL | HEADER_FAULTS | WIDTH_FAULTS
# A header of one row only and lines of one cell: nothing to be missing in a line, and a class may be added.
CLASSES = ALL | {
    name: HEADER_FAULTS[name] for name in ("only its header", "another header", "a header cut off")
}
LISTED = {name: fault for name, fault in TABLE.items() if name not in ("no header", "a header cut off")}
# What has cells that may be empty: an empty one at the end says "not labelled".
LOOSE = {name: fault for name, fault in TABLE.items() if name != "an empty cell"}

_READ_A_CORPUS = (
    "stats --data {0}",
    "split --data {0} --sizes 1,1,1 -o out.json",
    "agree A1 {0}/annotations -o out",
    "faces one.mp4 -o out --size 32 --labels {0}/annotations",
    "evaluate A1 {0}/annotations --task {1}",
)
_FOLDERS = {  # layout and task: folder of the label files, and what can be wrong in one
    ("abaw1", "va"): ("VA_Set/Training_Set", TABLE),
    ("abaw3", "expr"): ("EXPR_Classification_Challenge/Train_Set", CLASSES),
    ("abaw6", "au"): ("AU_Detection_Challenge/Train_Set", TABLE),
    ("abaw6", "expr"): ("EXPR_Recognition_Challenge/Train_Set", CLASSES),
    ("abaw6", "va"): ("VA_Estimation_Challenge/Train_Set", TABLE),
}
_FILES = {  # file: the commands, and what can be wrong
    "affwild/train/valence/one.txt": ("stats --data affwild", ALL),
    "affwild/train/arousal/one.txt": ("evaluate predicted affwild --task va", ALL),
    "mtl/MTL_Challenge/train_set.txt": ("stats --data mtl", LISTED),
    "flat.csv": ("evaluate flat.csv truth.csv --task va", TABLE),
    "submission.csv": ("evaluate submission.csv truth.csv --task va", TABLE),
    "table.csv": ("evaluate truth.csv table.csv --task mtl", LOOSE),
    "predicted/one.txt": ("evaluate predicted abaw6 --task va", TABLE),
}
_SUBJECTS = {name: TABLE[name] for name in (*FILE_FAULTS, *TEXT_FAULTS, *HEADER_FAULTS, "a cell too many")}


def bad_labels() -> Iterator[BadInput]:
    """Each layout with each fault; the commands take turns."""
    turn = 0
    for (layout, task), (folder, faults) in _FOLDERS.items():
        for fault, change in faults.items():
            turn += 1
            line = _READ_A_CORPUS[turn % len(_READ_A_CORPUS)].format(layout, task)
            target = f"{layout}/annotations/{folder}/one.txt"
            yield BadInput("label file", fault, line, ("one.txt",), target, change)
    for target, (line, faults) in _FILES.items():
        kind = "prediction file" if "predicted" in target or "submission" in target else "label file"
        for fault, change in faults.items():
            yield BadInput(kind, fault, line, (target.split("/")[-1],), target, change)
    for fault, change in (
        FILE_FAULTS | TEXT_FAULTS
    ).items():  # convert moves lines, and reads no number in them
        target = "abaw6/annotations/VA_Estimation_Challenge/Train_Set/one.txt"
        line = "convert one.mp4 -o out --labels abaw6/annotations/VA_Estimation_Challenge"
        yield BadInput("label file", fault, line, ("one.txt",), target, change)
    for fault, change in _SUBJECTS.items():
        line = "split --data abaw6 --sizes 1,1,1 -o out.json"
        yield BadInput("subjects", fault, line, ("subjects.csv",), "abaw6/subjects.csv", change)
