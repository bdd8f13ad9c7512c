"""Comma-separated text in and out: fast by pandas; only a file with a fault is read line by line."""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affkit.errors import UserError, quote
from affkit.files import existing_file, write_beside

if TYPE_CHECKING:  # slow to import, and most who come here read no table
    import pandas as pd

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file with ``\\n`` line ends, without byte order mark and trailing blank lines."""
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
    form = _Form(tuple(columns), tuple(text_columns), allow_empty)
    if (cells := form.parse(body)) is None:
        raise _first_fault(path, body.split("\n"), form, first_line)
    return cells


@dataclass(frozen=True)
class _Form:  # of every line of a file
    columns: tuple[str, ...]
    text_columns: tuple[str, ...]
    allow_empty: bool

    @property
    def quoting(self) -> int:
        return csv.QUOTE_MINIMAL if self.text_columns else csv.QUOTE_NONE

    @property
    def numeric(self) -> list[int]:
        return [i for i, name in enumerate(self.columns) if name not in self.text_columns]

    def parse(self, body: str) -> "pd.DataFrame | None":
        """The cells of all lines, or ``None`` if any line is not as it must be."""
        import pandas as pd

        try:
            cells = pd.read_csv(
                io.StringIO(body),
                header=None,
                dtype={i: np.float64 if i in self.numeric else str for i in range(len(self.columns))},
                quoting=self.quoting,
                skip_blank_lines=False,
                skipinitialspace=True,
                keep_default_na=False,
                na_filter=self.allow_empty,
                na_values={i: [""] for i in self.numeric} if self.allow_empty else None,
            )
        except ValueError:  # pandas' ParserError is one; _first_fault finds the words for it
            return None
        if cells.shape != (body.count("\n") + 1, len(self.columns)) or not self.is_rectangular(body):
            return None
        cells.columns = list(self.columns)
        numbers = cells.iloc[:, self.numeric].to_numpy()
        sound = np.isfinite(numbers) | (self.allow_empty & np.isnan(numbers))
        return cells if sound.all() else None

    def is_rectangular(self, body: str) -> bool:
        """Whether all lines have a cell for each column; pandas would fill up the short ones."""
        if self.quoting == csv.QUOTE_MINIMAL and '"' in body:
            rows = csv.reader(body.split("\n"), skipinitialspace=True)
            return all(len(cells) == len(self.columns) for cells in rows)
        return body.count(",") == (body.count("\n") + 1) * (len(self.columns) - 1)

    def is_number(self, cell: str) -> bool:
        return math.isfinite(float(cell)) if _NUMBER.fullmatch(cell) else self.allow_empty and not cell


def _first_fault(path: str | Path, lines: list[str], form: _Form, first_line: int) -> UserError:
    while len(lines) > 1000:  # halve quickly, then look at each line slowly
        half = len(lines) // 2
        sound = form.parse("\n".join(lines[:half])) is not None
        lines, first_line = (lines[half:], first_line + half) if sound else (lines[:half], first_line)
    rows = csv.reader(lines, quoting=form.quoting, skipinitialspace=True)
    for row, cells in enumerate(rows):
        text, line = lines[row], first_line + row
        if rows.line_num != row + 1:
            return UserError(path, f"line {line}: a quotation mark is not closed", "close or delete it")
        if not text.strip():
            fix = "every frame needs its line; mark it as not labelled"
            return UserError(path, f"line {line}: is blank", fix)
        if len(cells) != len(form.columns):
            problem = f"line {line}: has {len(cells)} columns, not {len(form.columns)}: {quote(text)}"
            return UserError(path, problem, f"write {','.join(form.columns)}, separated by commas")
        for i in form.numeric:
            if not form.is_number(cell := cells[i].strip()):
                problem = f"line {line}: {form.columns[i]} is {quote(cell)}"
                return UserError(path, problem, "write a number there")
    return UserError(path, "is not comma-separated text", "write plain numbers and words between commas")


def write_columns(path: str | Path, header: Sequence[str] | None, columns: Sequence[Sequence[str]]) -> None:
    """Write columns of text as comma-separated UTF-8 lines, all of the file or nothing."""
    with write_beside(path) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
        if header:
            file.write(",".join(header) + "\n")
        file.writelines(",".join(cells) + "\n" for cells in zip(*columns, strict=True))
