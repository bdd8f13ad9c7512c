"""The page that ``affkit doctor`` prints."""

import textwrap
from collections.abc import Iterator

from affkit_studio.doctor.counts import MARKS, Row
from affkit_studio.doctor.findings import SEVERITIES, Finding, plural
from affkit_studio.doctor.report import Report

WIDTH = 110
_EXAMPLES = 3  # of what a finding is about; all of them are in the JSON


def page(report: Report) -> str:
    """All of a report to be read in a terminal, about one page."""
    blocks = [[f"{report.root}: {report.title}"], list(_facts(report)), list(_table(report.rows))]
    blocks += [list(_findings(severity, report.with_severity(severity))) for severity in SEVERITIES]
    if not report.findings:
        blocks.append(["Nothing wrong was found."])
    if report.commands:
        mended = "Next, when the errors are mended:" if report.with_severity("error") else "Next:"
        blocks.append([mended, *(f"  {command}" for command in report.commands)])
    return printable("\n\n".join("\n".join(lines) for lines in blocks if lines))


def printable(text: str) -> str:
    """Text with escapes for what a terminal cannot show, such as names of files that are no text.

    >>> printable("a\\udcff\\x1bb")
    'a\\\\udcff\\\\x1bb'
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text
    )


def _facts(report: Report) -> Iterator[str]:
    for name, words in report.facts:
        yield from textwrap.wrap(
            f"  {name:<13} {words}",
            WIDTH,
            subsequent_indent=" " * 16,
            break_on_hyphens=False,
            drop_whitespace=True,
        )


def _table(rows: list[Row]) -> Iterator[str]:
    """The frames: a line for each task and set."""
    if not rows:
        return
    optional = {"with video": [row.with_video for row in rows], "with crop": [row.with_crop for row in rows]}
    shown = [name for name, numbers in optional.items() if any(number is not None for number in numbers)]
    several = len({row.source for row in rows}) > 1
    table = [["task", "set", "files", "lines", "not labelled", "labelled", *shown, "usable"]]
    for row in rows:
        marked = f"{row.marked:,}" + (f" ({MARKS[row.task]})" if row.task in MARKS else "")
        cells = [row.task, row.subset, f"{row.files:,}", f"{row.lines:,}", marked, f"{row.labelled:,}"]
        cells += [f"{getattr(row, name.replace(' ', '_')) or 0:,}" for name in (*shown, "usable")]
        table.append(cells + ([f"  {row.source}"] if several else []))
    widths = [max(len(cells[i]) for cells in table) for i in range(7 + len(shown))]
    for cells in table:
        words = [
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(cells, widths, strict=False))
        ]
        yield "  " + "  ".join(words + cells[len(widths) :]).rstrip()
    extreme = sum(row.extreme for row in rows)
    if extreme:
        frames = plural(extreme, "labelled frame")
        yield f"  {frames} with a valence or an arousal of exactly -1: a value, not a mark; they count."
    if any(row.task == "mtl" for row in rows):
        yield "  mtl: frames with valence, arousal, an expression and action units at once."


def _findings(severity: str, findings: list[Finding]) -> Iterator[str]:
    if findings:
        yield f"{severity.capitalize()}s" if len(findings) > 1 else severity.capitalize()
    for number, finding in enumerate(findings, start=1):
        yield from textwrap.wrap(
            f"{number:>3}. {finding.what} [{finding.code}]",
            WIDTH,
            subsequent_indent="     ",
            break_on_hyphens=False,
        )
        for line in finding.where[:_EXAMPLES]:
            yield f"       {line}"
        if len(finding.where) > _EXAMPLES:
            yield f"       and {len(finding.where) - _EXAMPLES:,} more"
        yield from textwrap.wrap(
            f"     -> {finding.mend}", WIDTH, subsequent_indent="        ", break_on_hyphens=False
        )
