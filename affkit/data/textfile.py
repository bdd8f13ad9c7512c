"""Comma-separated text in and out: fast when a file is sound, exact about the line when it is not.

A sound file of two million lines is read by pandas in well under a second. Only when that fails is the
file read again, line by line and slowly, to say which line is at fault.
"""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.errors import UserError
from affkit.files import existing_file, write_beside

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_QUOTE = 60  # characters of a user's file that are shown in a message


def quote(text: str) -> str:
    """``text`` in quotation marks, cut and escaped, so that a message stays one readable line."""
    return repr(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file with ``\\n`` line ends, without byte order mark and trailing blank lines.

    Raises
    ------
    UserError
        If there is no such file, it is empty, or it is not UTF-8 text.
    """
    data = existing_file(path).read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(path, "is UTF-16 text", "save it again as UTF-8")
    if b"\0" in data:
        raise UserError(path, "is not a text file", "give the label file, not a video or an archive")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(path, f"line {line}: is not UTF-8 text", "save the file again as UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    if not text:
        raise UserError(path, "the file is empty", "copy or download it again")
    return text


def split_header(path: str | Path, text: str) -> tuple[tuple[str, ...], str]:
    """The column names in the first line of ``text``, and the lines below it.

    Raises
    ------
    UserError
        If there is nothing below the header.
    """
    header, _, body = text.partition("\n")
    if not body:
        raise UserError(
            path, "has one line and no frame below it", "give a header and one line for each frame"
        )
    return tuple(name.strip() for name in header.split(",")), body


def wrong_header(path: str | Path, found: Sequence[str], expected: str) -> UserError:
    """The error for a file whose first line is not the header its reader knows."""
    problem = f"line 1: the header is {quote(','.join(found))}"
    return UserError(path, problem, f"the first line must be {expected}")


def parse_cells(
    path: str | Path,
    body: str,
    columns: Sequence[str],
    first_line: int,
    text_columns: Sequence[str] = (),
    allow_empty: bool = False,
) -> pd.DataFrame:
    """Every line of ``body`` as a row with the given ``columns``: finite float64, or text.

    Parameters
    ----------
    path:
        The file the text is from, for messages.
    body:
        The lines below the header; none may be blank, since a skipped line would shift the frames.
    columns:
        Column names in file order.
    first_line:
        Line number of the first line of ``body`` in its file: 2 below a header, else 1.
    text_columns:
        The columns that hold words; in these files cells may be quoted, as spreadsheets do.
    allow_empty:
        Whether a number may be missing; it becomes NaN.

    Raises
    ------
    UserError
        Naming the first line with a wrong number of columns or with something that is not a number.

    >>> parse_cells("a.txt", "0.5,-1\\n0,1", ("valence", "arousal"), first_line=2)["arousal"].tolist()
    [-1.0, 1.0]
    """
    quoting = csv.QUOTE_MINIMAL if text_columns else csv.QUOTE_NONE
    numeric = [i for i, name in enumerate(columns) if name not in text_columns]
    try:
        cells = pd.read_csv(
            io.StringIO(body),
            header=None,
            dtype={i: np.float64 if i in numeric else str for i in range(len(columns))},
            quoting=quoting,
            skip_blank_lines=False,
            skipinitialspace=True,
            keep_default_na=False,
            na_filter=allow_empty,
            na_values={i: [""] for i in numeric} if allow_empty else None,
        )
    except ValueError as error:  # pandas' ParserError is one
        raise _first_fault(path, body, columns, first_line, numeric, quoting, allow_empty) from error
    sound = cells.shape == (body.count("\n") + 1, len(columns))
    if sound:
        cells.columns = list(columns)
        numbers = cells.iloc[:, numeric].to_numpy()
        sound = (np.isfinite(numbers) | (allow_empty & np.isnan(numbers))).all()
    if not sound:
        raise _first_fault(path, body, columns, first_line, numeric, quoting, allow_empty)
    return cells


def _first_fault(path, body, columns, first_line, numeric, quoting, allow_empty) -> UserError:
    """Read the lines again, one by one, and describe the first that :func:`parse_cells` cannot use."""
    lines = body.split("\n")
    rows = csv.reader(lines, quoting=quoting, skipinitialspace=True)
    for line, (text, cells) in enumerate(zip(lines, rows, strict=False), first_line):
        if not text.strip():
            mend = "every frame needs its line; mark it as not labelled"
            return UserError(path, f"line {line}: is blank", mend)
        if len(cells) != len(columns):
            problem = f"line {line}: has {len(cells)} columns, not {len(columns)}: {quote(text)}"
            return UserError(path, problem, f"write {','.join(columns)}, separated by commas")
        for i in numeric:
            cell = cells[i].strip()
            if not (allow_empty and not cell) and not (_NUMBER.fullmatch(cell) and np.isfinite(float(cell))):
                return UserError(path, f"line {line}: {columns[i]} is {quote(cell)}", "write a number there")
    return UserError(path, "is not comma-separated text", "look for quotation marks that are not closed")


def refuse(path: str | Path, wrong: np.ndarray, first_line: int, name: str, values, mend: str) -> None:
    """Raise :class:`UserError` for the first row where ``wrong`` (``(T,)`` bool) is true, if there is one.

    >>> refuse("a.txt", np.array([False, True]), 2, "valence", np.array([0.5, 1.7]), "use -1 to 1")
    Traceback (most recent call last):
    affkit.errors.UserError: a.txt: line 3: valence is 1.7; use -1 to 1
    """
    if wrong.any():
        row = int(np.argmax(wrong))
        value = values[row]
        shown = quote(value) if isinstance(value, str) else format(value, ".12g")
        raise UserError(path, f"line {row + first_line}: {name} is {shown}", mend)


def write_columns(path: str | Path, header: Sequence[str] | None, columns: Sequence[Sequence[str]]) -> None:
    """Write columns of text as comma-separated UTF-8 lines ending in ``\\n``, all of the file or nothing."""
    with write_beside(path) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
        if header:
            file.write(",".join(header) + "\n")
        file.writelines(",".join(cells) + "\n" for cells in zip(*columns, strict=True))
