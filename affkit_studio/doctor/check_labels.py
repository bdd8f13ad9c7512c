"""Checks of label files one by one: encoding, header, values; and of who is in which set."""

from collections.abc import Iterator
from pathlib import Path

from affkit.corpus.leakage import across_tasks, leaks, task_partitions
from affkit.errors import UserError
from affkit.labelfiles.formats import checked_video_name
from affkit_studio.doctor.case import Case
from affkit_studio.doctor.findings import Finding
from affkit_studio.doctor.messages import found
from affkit_studio.doctor.reading import Fault


def check_files(case: Case) -> Iterator[Finding]:
    """Files that cannot be read, by the reason."""
    grouped: dict[str, dict[str, str]] = {}
    for fault in (fault for contents in case.read for fault in contents.faults):
        line = f"{case.survey.shown(Path(fault.error.path))}: {fault.error.problem}"
        grouped.setdefault(_reason(fault), {})[line] = fault.error.mend
    for path in _lonely_arousals(case):
        grouped.setdefault("no-partner", {})[f"{case.survey.shown(path)}: no valence"] = ""
    for code, lines in grouped.items():
        yield from found(code, sorted(lines), mend=next(iter(lines.values())))


def _reason(fault: Fault) -> str:
    """The code for a file that cannot be read."""
    form, path = fault.form, Path(fault.error.path)
    if form is None:
        return "bad-line" if path.exists() else "no-partner"
    if form.encoding in ("UTF-16", "not UTF-8"):
        return "encoding"
    if not form.num_lines:
        return "no-frames"
    needs_header = fault.task != "mtl" and path.parent.name not in ("valence", "arousal")
    return "no-header" if needs_header and not form.has_header else "bad-line"


def _lonely_arousals(case: Case) -> list[Path]:
    """Files of arousal without one of valence; nothing would read them."""
    sources = [source for one in case.found.used for source in one.sources.values()]
    arousals = (path for source in sources for path in case.survey.texts.get(source / "arousal", []))
    return [path for path in arousals if not (path.parent.parent / "valence" / path.name).exists()]


def check_forms(case: Case) -> Iterator[Finding]:
    """Files that affkit reads as they are, but others may not."""
    shown, faulty = case.survey.shown, {Path(f.error.path) for read in case.read for f in read.faults}
    forms = {path: form for read in case.read for path, form in read.forms.items() if path not in faulty}
    yield from found("byte-order-mark", (shown(path) for path, form in forms.items() if form.has_mark))
    ends = (f"{shown(path)}: {form.line_ends}" for path, form in forms.items() if form.line_ends != "LF")
    yield from found("line-ends", ends)
    yield from found("halves-differ", (line for read in case.read for line in read.shorter))


def check_content(case: Case) -> Iterator[Finding]:
    """Columns that differ from file to file, and files with nothing in them."""
    for task, lists in ((task, lists) for read in case.read for task, lists in read.columns.items()):
        if len({frozenset(columns) for columns in lists}) > 1:
            yield from found("columns-differ", (f"{task}: {','.join(columns)}" for columns in lists))
    unlabelled = (one for one in case.counted if not one.labelled.any() and not one.listed)
    yield from found("all-marked", (case.survey.shown(one.path) for one in unlabelled))


def check_names(case: Case) -> Iterator[Finding]:
    """Names that cannot be video names everywhere."""
    odd = []
    for name in case.names:
        try:
            checked_video_name(case.survey.root, name)
        except UserError:
            odd.append(repr(name))
    yield from found("odd-name", odd)


def check_leaks(case: Case) -> Iterator[Finding]:
    """Subjects and videos in several sets (:mod:`affkit.corpus.leakage`)."""
    inside: list[str] = []
    across: list[str] = []
    for annotations, contents in case.pairs:
        names = {key: contents.names(*key) for key in annotations.sources if key[1] != "all"}
        partitions = task_partitions(names, case.test_lists)
        for task, partition in partitions.items():
            inside += [f"{task}: {leak}" for leak in leaks(partition, case.subjects)]
        across += map(str, across_tasks(partitions, case.subjects))
    yield from found("in-two-sets", inside)
    yield from found("across-tasks", across)


def check_subjects(case: Case) -> Iterator[Finding]:
    """``subjects.csv`` beside the names of the labels."""
    if case.subjects is not None and case.names:
        known = set(case.names) | case.test_names
        yield from found("subjects-unknown", sorted(set(case.subjects) - known))
        yield from found("subjects-missing", sorted(set(case.names) - set(case.subjects)))
