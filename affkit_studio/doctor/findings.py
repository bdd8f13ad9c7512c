"""A finding: something about a folder that its owner should know, and what mends it."""

from collections.abc import Iterable
from dataclasses import dataclass

SEVERITIES = ("error", "warning", "note")
"""Worst first. An error: data that cannot be used, or would be used wrongly without a word. A warning: some
of it is lost, or may be wrong. A note: good to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes
    ----------
    code:
        A short name that stays the same, for programs: ``"crops-from-zero"``.
    severity:
        One of :data:`SEVERITIES`.
    what:
        What is the matter, and why it matters: a sentence.
    mend:
        What to do about it, or ``""`` where nothing has to be done.
    where:
        All files, folders, videos or names it is about, each with what is to be said of it alone.
    """

    code: str
    severity: str
    what: str
    mend: str
    where: tuple[str, ...]

    def __post_init__(self):
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r} is none of {SEVERITIES}")


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; otherwise in the order they come.

    >>> note, error = Finding("a", "note", "", "", ()), Finding("b", "error", "", "", ())
    >>> [finding.code for finding in by_severity([note, error])]
    ['b', 'a']
    """
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def plural(number: int, word: str) -> str:
    """
    >>> plural(1, "video"), plural(1200, "video"), plural(2, "person")
    ('1 video', '1,200 videos', '2 people')
    """
    several = {"person": "people"}.get(word, f"{word}s")
    return f"{number:,} {word if number == 1 else several}"
