"""Comma-separated text in and out: fast by pandas; only a file with a fault is read line by line."""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affkit.errors import UserError, quote
from affkit.files import existing_file, write_beside
from affkit.labelfiles.names import nfc

if TYPE_CHECKING:  # slow to import, and most who come here read no table
    import pandas as pd

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file with ``\\n`` line ends, without byte order mark and trailing blank lines,
    its letters in one form, see :func:`~affkit.labelfiles.names.nfc`.
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
    return nfc(text)


def split_header(path: str | Path, text: str) -> tuple[tuple[str, ...], str]:
    """The column names in the first line, and the lines below it; there must be one."""
    header, _, body = text.partition("\n")
    if not body:
        fix = "give a header and one line for each frame"
        raise UserError(path, "has one line and no frame below it", fix)
    return tuple(name.strip() for name in header.split(",")), body


def wrong_header(path: str | Path, found: Sequence[str], expected: str) -> UserError:
    problem = f"line 1: the header is {quote(','.join(found))}"
    return UserError(path, problem, f"the first line must be {expected}")


def parse_cells(
    path: str | Path,
    body: str,
    columns: Sequence[str],
    first_line: int,
    text_columns: Sequence[str] = (),
    allow_empty: bool = False,
) -> "pd.DataFrame":
    """Every line of ``body``, which begins in line ``first_line`` of its file, as a row: finite float64, or
    text in ``text_columns``. With ``allow_empty`` a number may be missing (NaN). Refused, with its line: a
    blank line (the frames would shift), a wrong number of columns, something that is not a number.

    >>> parse_cells("a.txt", "0.5,-1\\n0,1", ("valence", "arousal"), first_line=2)["arousal"].tolist()
    [-1.0, 1.0]
    """
    import pandas as pd

    numeric = [i for i, name in enumerate(columns) if name not in text_columns]
    quoting = csv.QUOTE_MINIMAL if text_columns else csv.QUOTE_NONE
    num_lines, cells, sound = body.count("\n") + 1, None, False
    with suppress(ValueError):  # pandas' ParserError is one
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
    if cells is not None and cells.shape == (num_lines, len(columns)):
        cells.columns = list(columns)
        numbers = cells.iloc[:, numeric].to_numpy()
        sound = (np.isfinite(numbers) | (allow_empty & np.isnan(numbers))).all()
    # pandas fills up short lines; commas tell, but for those in quotation marks
    quoted = quoting == csv.QUOTE_MINIMAL and '"' in body
    if not sound or quoted or body.count(",") != num_lines * (len(columns) - 1):
        for row, problem, fix in _faults(body.split("\n"), columns, numeric, quoting, allow_empty):
            raise UserError(path, f"line {first_line + row}: {problem}", fix)
    if not sound:
        raise UserError(path, "is not comma-separated text", "write plain numbers and words between commas")
    return cells


def _faults(
    lines: list[str], columns: Sequence[str], numeric: list[int], quoting: int, allow_empty: bool
) -> Iterator[tuple[int, str, str]]:
    """For each line with a fault its row, what is wrong with it, and what would fix it."""
    rows = csv.reader(lines, quoting=quoting, skipinitialspace=True)
    for row, cells in enumerate(rows):
        if rows.line_num != row + 1:
            yield row, "a quotation mark is not closed", "close or delete it"
        elif not lines[row].strip():
            yield row, "is blank", "every frame needs its line; mark it as not labelled"
        elif len(cells) != len(columns):
            problem = f"has {len(cells)} columns, not {len(columns)}: {quote(lines[row])}"
            yield row, problem, f"write {','.join(columns)}, separated by commas"
        else:
            for i in numeric:
                cell = cells[i].strip()
                is_number = _NUMBER.fullmatch(cell) and math.isfinite(float(cell))
                if not (is_number or (allow_empty and not cell)):
                    yield row, f"{columns[i]} is {quote(cell)}", "write a number there"


def write_columns(path: str | Path, header: Sequence[str] | None, columns: Sequence[Sequence[str]]) -> None:
    """Write columns of text as comma-separated UTF-8 lines, all of the file or nothing."""
    with write_beside(path) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
        if header:
            file.write(",".join(header) + "\n")
        file.writelines(",".join(cells) + "\n" for cells in zip(*columns, strict=True))
