"""What is true of a drawn corpus: ``truth/<name>.csv`` has a line for each frame of one face.

Only a drawn corpus knows it: where the face is, how well it is seen, which valence and arousal were played,
and how strongly each action unit moved.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from affkit.errors import UserError
from affkit.labelfiles.csv_text import parse_cells, read_text, split_header

TRUTH_FOLDER = "truth"


def read_truth(path: str | Path, needed: Iterable[str] = ()) -> pd.DataFrame:
    """A table of the true state of one face: float64 columns, one row a frame; an empty cell is NaN.

    The index is the frame number (1-based): the column ``frame``, or without one the number of the row.

    Parameters
    ----------
    path:
        The file.
    needed:
        Columns that must be there.

    Raises
    ------
    UserError
        Naming the line of the first fault, the first needed column that is missing, or what is there twice.
    """
    header, body = split_header(path, read_text(path))
    missing = [name for name in needed if name not in header]
    if missing:
        raise UserError(path, f"has no column {missing[0]}", "draw the corpus with this version of affkit")
    if len(set(header)) != len(header):
        raise UserError(path, "names a column twice", "draw the corpus with this version of affkit")
    table = parse_cells(path, body, header, first_line=2, allow_empty=True)
    if "frame" not in table:
        return table.set_index(table.index + 1)
    if table["frame"].duplicated().any():
        raise UserError(path, "has a frame twice", "keep one line for each frame")
    return table.set_index(table["frame"].astype(int))


def read_truths(root: str | Path, needed: Iterable[str] = ()) -> dict[str, pd.DataFrame]:
    """All truth tables of the corpus in ``root``, as :func:`read_truth` returns them, by name, in order.

    Raises
    ------
    UserError
        As :func:`read_truth`, and if there are none.
    """
    folder, needed = Path(root, TRUTH_FOLDER), tuple(needed)
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise UserError(folder, "holds no truth tables", "give the folder of a drawn corpus")
    return {path.stem: read_truth(path, needed) for path in files}
