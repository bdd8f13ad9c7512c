"""What ``affkit doctor`` says about a folder, as data; :mod:`affkit_studio.doctor.page` makes it a page."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from affkit.errors import UserError
from affkit_studio.doctor import check_folder, check_frames, check_labels, check_videos
from affkit_studio.doctor.annotations import Annotations
from affkit_studio.doctor.case import Case
from affkit_studio.doctor.commands import next_commands
from affkit_studio.doctor.counts import Row, frame_table
from affkit_studio.doctor.findings import SEVERITIES, Finding, by_severity, plural
from affkit_studio.doctor.reading import Contents
from affkit_studio.doctor.years import title

CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    check_folder.check_anything,
    check_folder.check_paths,
    check_folder.check_faults,
    check_folder.check_places,
    check_folder.check_sets,
    check_folder.check_pictures,
    check_labels.check_files,
    check_labels.check_names,
    check_labels.check_content,
    check_labels.check_leaks,
    check_labels.check_subjects,
    check_frames.check_crops,
    check_frames.check_lengths,
    check_frames.check_tasks,
    check_frames.check_listed,
    check_videos.check_pairing,
    check_videos.check_twice,
    check_videos.check_films,
    check_frames.check_crop_names,
    check_labels.check_forms,
)


@dataclass(frozen=True)
class Report:
    """What was found in a folder.

    Attributes
    ----------
    root:
        The folder, or file.
    title:
        What it is.
    facts:
        What is in it: a keyword and a sentence each.
    rows:
        How many frames can be used for which task.
    findings:
        The worst first.
    commands:
        What to run next, for a shell.
    """

    root: Path
    title: str
    facts: list[tuple[str, str]]
    rows: list[Row]
    findings: list[Finding]
    commands: list[str]

    def with_severity(self, severity: str) -> list[Finding]:
        """The findings of one of :data:`~affkit_studio.doctor.findings.SEVERITIES`."""
        return [finding for finding in self.findings if finding.severity == severity]

    def as_dict(self) -> dict:
        """All of it in plain lists, numbers and text, to be written as JSON."""
        facts: dict[str, list[str]] = {}
        for name, words in self.facts:
            facts.setdefault(name, []).append(words)
        return {
            "root": str(self.root),
            "title": self.title,
            "facts": facts,
            "frames": [row.as_dict() for row in self.rows],
            "counts": {severity: len(self.with_severity(severity)) for severity in SEVERITIES},
            "findings": [asdict(finding) for finding in self.findings],
            "next": self.commands,
        }


def examine(root: str | Path, progress: bool = False) -> Report:
    """Look at a folder of videos, annotations and crops, of whatever kind; nothing is written.

    Parameters
    ----------
    root:
        The folder, or one file.
    progress:
        Whether to show progress bars for what takes more than two seconds.

    Raises
    ------
    UserError
        If there is no such folder, or it cannot be opened. Whatever is wrong inside it is a finding.
    """
    root = Path(root)
    try:
        case = Case.of(root, progress)
    except FileNotFoundError as error:
        raise UserError(root, "no such file or folder", "check the spelling") from error
    except OSError as error:
        raise UserError(root, f"cannot be opened ({error.strerror})", "change its permissions") from error
    findings = by_severity(finding for check in CHECKS for finding in check(case))
    titles, facts = _titles(case), list(_facts(case))
    return Report(root, "; ".join(titles), facts, frame_table(case), findings, next_commands(case))


def _titles(case: Case) -> list[str]:
    """What the folder is, in one line."""
    titles = list(dict.fromkeys(_title(case, one, read) for one, read in case.pairs))
    lying = case.survey
    titles += [f"{len(case.found.corpora)} corpora"] if case.found.corpora else []
    titles += ["a store of faces"] if case.stores else []
    titles += ["a pool of faces without labels"] if lying.pools else []
    if not case.found.used and not case.found.corpora:
        titles += ["videos without annotations"] if lying.videos else []
        titles += ["crops without annotations"] if lying.crops else []
    return titles or ["an empty folder" if lying.empty == [lying.root] else "nothing that affkit knows"]


def _title(case: Case, annotations: Annotations, contents: Contents) -> str:
    if annotations.layout is None:
        listed = ("mtl", "all") in annotations.sources
        return "a table of labels" if listed else "label files without a layout, as handed in to a challenge"
    above = [annotations.root, *annotations.root.parents]
    above = [folder.resolve() for folder in above if folder.is_relative_to(case.survey.root)]
    units = contents.columns.get("au")
    words = title(annotations.layout, above, len(units[0]) if units else None)
    drawn = (annotations.home / "plan.json").is_file()  # affkit render writes it
    return f"a corpus drawn by affkit, {words}" if drawn else words


def _facts(case: Case) -> Iterator[tuple[str, str]]:
    """What is in the folder."""
    shown, lying = case.survey.shown, case.survey
    for annotations, contents in case.pairs:
        sets: dict[str, list[str]] = {}
        for task, subset in annotations.sources:
            sets.setdefault(task, []).append(subset)
        words = "; ".join(f"{task}: {', '.join(own)}" for task, own in sets.items())
        yield "annotations", f"{shown(annotations.root)} ({words})"
        for task, lists in contents.columns.items():
            yield f"{task} columns", f"{len(lists[0])}: {', '.join(lists[0])}"
    if case.found.coders:
        parents = Counter(shown(folder.parent) for folder in case.found.coders)
        yield "more labels", ", ".join(f"{number} in {parent}" for parent, number in sorted(parents.items()))
    for task, names in case.test_lists.items():
        yield "test list", f"{task}: {plural(len(names), 'video')}"
    yield from _pictures(case)
    if case.counted:
        people = "no subjects.csv: only videos can be compared across sets"
        if case.subjects is not None:
            people = f"{plural(len(set(case.subjects.values())), 'subject')} in subjects.csv"
        yield "who is who", people
    for held in case.stores:
        labels = ", ".join(f"{number:,} with {task}" for task, number in held.labelled.items())
        words = f"{held.faces:,} faces of {held.size} pixels from {plural(held.videos, 'video')}"
        yield "store", f"{shown(held.path)}: {words}; {labels}"
    for folder, number in sorted(lying.pools.items()):
        yield "pool", f"{shown(folder)}: {plural(number, 'sheet')} of faces, for affkit train gan --pool"
    if lying.others:
        kinds = lying.others.most_common(5)
        words = (f"{number:,} {suffix or 'without suffix'}" for suffix, number in kinds)
        yield "other files", ", ".join(words)


def _pictures(case: Case) -> Iterator[tuple[str, str]]:
    """The videos, and the crops."""
    lying, films = case.survey, list(case.films.values())
    if lying.videos:
        places = _places(case, [path.parent for path in lying.videos])
        words = f"{plural(len(lying.videos), 'video')} in {places}"
        if films:
            seconds = sum(film.info.duration for film in films)
            frames = sum(film.num_frames for film in films)
            words += f": {frames:,} frames, {_time(seconds)}, {_range(films)}"
        yield "videos", words
    if lying.crops:
        number = sum(len(crops.numbers) for crops in lying.crops.values())
        places = _places(case, [folder.parent if folder != lying.root else folder for folder in lying.crops])
        words = f"{plural(number, 'picture')} of {plural(len(lying.crops), 'person')} in {places}"
        if not lying.videos:
            words += "; affkit cuts its own from the videos, which are not here"
        yield "crops", words


def _places(case: Case, folders: list[Path]) -> str:
    names = list(dict.fromkeys(map(case.survey.shown, sorted(folders))))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more folders" if len(names) > 4 else "")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def _range(films: list) -> str:
    widths = sorted((film.info.width, film.info.height) for film in films)
    sizes = " to ".join(f"{width} x {height}" for width, height in dict.fromkeys((widths[0], widths[-1])))
    rates = sorted({round(float(film.info.fps), 2) for film in films if not film.variable})
    words = " to ".join(f"{rate:g}" for rate in dict.fromkeys(rates[:1] + rates[-1:]))
    return ", ".join([sizes] + ([f"{words} a second"] if words else []))
