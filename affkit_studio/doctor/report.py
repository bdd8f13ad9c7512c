"""What ``affkit doctor`` says about a folder: as data, and as a page to be read in a terminal."""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from affkit.corpus.corpus import PARTS, labelled_frames
from affkit.errors import UserError
from affkit_studio.doctor import check_labels as labels
from affkit_studio.doctor import check_pictures as pictures
from affkit_studio.doctor.annotations import Annotations, LabelCount, name_of_year
from affkit_studio.doctor.commands import next_commands
from affkit_studio.doctor.folder import SEVERITIES, Finding, Folder, VideoFile, plural

CHECKS: tuple[Callable[[Folder], Iterator[Finding]], ...] = (
    labels.check_anything, labels.check_paths, labels.check_lists_and_stores, labels.check_places,
    labels.check_sets, pictures.check_presence, labels.check_files, labels.check_names, labels.check_content,
    labels.check_leaks, labels.check_subjects, pictures.check_crops, pictures.check_lengths,
    pictures.check_tasks, pictures.check_listed, pictures.check_pairing, pictures.check_twice,
    pictures.check_videos, pictures.check_crop_names, labels.check_forms,
)  # fmt: skip

MARKS = {"va": "-5", "expr": "-1", "au": "-1"}
"""How the files mark a frame without a label."""

WIDTH = 110
_EXAMPLES = 3  # of what a finding is about; all of them are in the JSON


@dataclass(frozen=True)
class FrameCounts:
    """The frames of one task, or of all three at once, ``mtl``, in one set, or in all of them."""

    source: str
    """The annotations they are from, as seen from the folder."""
    task: str
    subset: str
    files: int
    """Label files, or people in a file that lists frames."""
    lines: int
    """Lines for frames; for ``mtl`` from separate files, the frames they all have a line for."""
    labelled: int
    """Those with a label; the others are marked by -5 or -1."""
    with_video: int | None
    """Those of them that a video is there for; ``None`` where there are no videos at all."""
    with_crop: int | None
    usable: int
    """Those that a video or a crop is there for; where there are only labels, all that are labelled."""
    extreme: int = 0
    """Labelled frames with a valence or an arousal of exactly -1."""

    @property
    def marked(self) -> int:
        return self.lines - self.labelled


@dataclass(frozen=True)
class DoctorReport:
    """What was found in a folder."""

    root: Path
    title: str
    facts: list[tuple[str, str]]
    """What is in it: a keyword and a sentence each."""
    rows: list[FrameCounts]
    findings: list[Finding]
    """The worst first."""
    commands: list[str]
    """What to run next, for a shell."""

    def with_severity(self, severity: str) -> list[Finding]:
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
            "frames": [asdict(row) | {"marked": row.marked} for row in self.rows],
            "counts": {severity: len(self.with_severity(severity)) for severity in SEVERITIES},
            "findings": [asdict(one) for one in self.findings],
            "next": self.commands,
        }


def examine(root: str | Path, progress: bool = False) -> DoctorReport:
    """Look at a folder, or file, of videos, annotations and crops, of whatever kind; nothing is written.

    Raises :class:`UserError` if it is not there or cannot be opened; what is wrong inside it is a finding.
    """
    root = Path(root)
    try:
        folder = Folder.look(root, progress)
    except FileNotFoundError as error:
        raise UserError(root, "no such file or folder", "check the spelling") from error
    except OSError as error:
        raise UserError(root, f"cannot be opened ({error.strerror})", "change its permissions") from error
    findings = [finding for check in CHECKS for finding in check(folder) if finding.where]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    title, facts = "; ".join(_titles(folder)), list(_facts(folder))
    return DoctorReport(root, title, facts, list(_frame_table(folder)), findings, next_commands(folder))


def _titles(folder: Folder) -> list[str]:
    """What the folder is, in one line."""
    listing, found = folder.listing, folder.annotations
    titles = list(dict.fromkeys(_title(one, listing.root) for one in found.used))
    titles += [f"{len(found.corpora)} corpora"] if found.corpora else []
    titles += ["a store of faces"] if folder.stores else []
    titles += ["a pool of faces without labels"] if listing.pools else []
    if not found.used and not found.corpora:
        titles += ["videos without annotations"] if listing.videos else []
        titles += ["crops without annotations"] if listing.crops else []
    return titles or ["an empty folder" if listing.empty == [listing.root] else "nothing that affkit knows"]


def _title(annotations: Annotations, root: Path) -> str:
    if annotations.layout is None:
        listed = ("mtl", "all") in annotations.sources
        return "a table of labels" if listed else "label files without a layout, as handed in to a challenge"
    drawn = (annotations.home / "plan.json").is_file()  # affkit render writes it
    return ("a corpus drawn by affkit, " if drawn else "") + name_of_year(annotations, root)


def _facts(folder: Folder) -> Iterator[tuple[str, str]]:
    """What is in the folder."""
    listing, shown = folder.listing, folder.listing.shown
    for annotations in folder.annotations.used:
        sets: dict[str, list[str]] = {}
        for task, subset in annotations.sources:
            sets.setdefault(task, []).append(subset)
        words = "; ".join(f"{task}: {', '.join(own)}" for task, own in sets.items())
        yield "annotations", f"{shown(annotations.root)} ({words})"
        for task, (columns, *_) in annotations.columns.items():
            yield f"{task} columns", f"{len(columns)}: {', '.join(columns)}"
    if folder.annotations.coders:
        parents = Counter(shown(path.parent) for path in folder.annotations.coders)
        yield "more labels", ", ".join(f"{number} in {parent}" for parent, number in sorted(parents.items()))
    for task, names in folder.test_lists.items():
        yield "test list", f"{task}: {plural(len(names), 'video')}"
    yield from _pictures(folder)
    if folder.counted:
        people = "no subjects.csv: only videos can be compared across sets"
        if folder.subjects is not None:
            people = f"{plural(len(set(folder.subjects.values())), 'subject')} in subjects.csv"
        yield "who is who", people
    for store in folder.stores:
        counts = ", ".join(f"{labelled_frames(store.labels, task).sum():,} with {task}" for task in PARTS)
        videos = plural(store.index["video"].nunique(), "video")
        yield (
            "store",
            f"{shown(store.path)}: {len(store):,} faces of {store.size} pixels from {videos}; {counts}",
        )
    for path, number in sorted(listing.pools.items()):
        yield "pool", f"{shown(path)}: {plural(number, 'sheet')} of faces, for affkit train gan --pool"
    if listing.others:
        kinds = listing.others.most_common(5)
        yield "other files", ", ".join(f"{number:,} {suffix or 'without suffix'}" for suffix, number in kinds)


def _pictures(folder: Folder) -> Iterator[tuple[str, str]]:
    """The videos, and the crops."""
    listing, videos = folder.listing, list(folder.videos.values())
    if listing.videos:
        places = _places(folder, [path.parent for path in listing.videos])
        words = f"{plural(len(listing.videos), 'video')} in {places}"
        if videos:
            minutes, seconds = divmod(round(sum(video.info.duration for video in videos)), 60)
            time = f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d} h"
            words += f": {sum(video.num_frames for video in videos):,} frames, {time}, {_range(videos)}"
        yield "videos", words
    if listing.crops:
        number = sum(len(crops.numbers) for crops in listing.crops.values())
        places = _places(folder, [path.parent if path != listing.root else path for path in listing.crops])
        words = f"{plural(number, 'picture')} of {plural(len(listing.crops), 'person')} in {places}"
        if not listing.videos:
            words += "; affkit cuts its own from the videos, which are not here"
        yield "crops", words


def _places(folder: Folder, paths: list[Path]) -> str:
    names = list(dict.fromkeys(map(folder.listing.shown, sorted(paths))))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more folders" if len(names) > 4 else "")


def _range(videos: list[VideoFile]) -> str:
    """The smallest and the largest size and rate."""
    widths = sorted((video.info.width, video.info.height) for video in videos)
    sizes = " to ".join(f"{width} x {height}" for width, height in dict.fromkeys((widths[0], widths[-1])))
    rates = sorted({round(float(video.info.fps), 2) for video in videos if not video.variable})
    words = " to ".join(f"{rate:g}" for rate in dict.fromkeys(rates[:1] + rates[-1:]))
    return ", ".join([sizes] + ([f"{words} a second"] if words else []))


def _frame_table(folder: Folder) -> Iterator[FrameCounts]:
    """A row for each task and set, and one for all three tasks together where there are labels of all."""
    tasks, sets = ("va", "expr", "au", "mtl"), ("train", "validation", "test", "all")
    for annotations in folder.annotations.used:
        groups: dict[tuple[int, int], list[LabelCount]] = {}
        for one in annotations.counted:
            groups.setdefault((tasks.index(one.task), sets.index(one.subset)), []).append(one)
        rows = [groups[key] for key in sorted(groups)]
        every = list(annotations.for_all_tasks())
        if every and all(row[0].task != "mtl" for row in rows):
            rows.append(every)
        yield from (_frame_counts(folder, annotations, row) for row in rows)


def _frame_counts(folder: Folder, annotations: Annotations, counted: list[LabelCount]) -> FrameCounts:
    """One row: labels of the same task and set."""
    lines = sum(len(one) for one in counted)
    if counted[0].listed:
        lines = sum(annotations.forms[path].num_lines for path in {one.path for one in counted})
    with_video = with_crop = usable = 0
    no_pictures = not folder.listing.videos and not folder.listing.crops
    for one in counted:
        video, crops = folder.video(one.name), folder.crops_by_name.get(one.name)
        frames = np.arange(1, len(one) + 1)
        has_video = one.labelled & (frames <= (video.num_frames if video else 0))  # (T,)
        has_crop = one.labelled & np.isin(frames, crops.numbers if crops else [])  # (T,)
        with_video, with_crop = with_video + int(has_video.sum()), with_crop + int(has_crop.sum())
        usable += int((one.labelled if no_pictures else has_video | has_crop).sum())
    return FrameCounts(
        source=folder.listing.shown(annotations.root),
        task=counted[0].task,
        subset=counted[0].subset,
        files=len(counted),
        lines=lines,
        labelled=sum(int(one.labelled.sum()) for one in counted),
        with_video=with_video if folder.listing.videos else None,
        with_crop=with_crop if folder.listing.crops else None,
        usable=usable,
        extreme=sum(one.extreme for one in counted),
    )


def page(report: DoctorReport) -> str:
    """All of a report to be read in a terminal, about one page."""
    facts = [line for name, words in report.facts for line in _wrapped(f"  {name:<13} {words}", 16)]
    blocks = [[f"{report.root}: {report.title}"], facts, list(_table(report.rows))]
    blocks += [list(_findings(severity, report.with_severity(severity))) for severity in SEVERITIES]
    if not report.findings:
        blocks.append(["Nothing wrong was found."])
    if report.commands:
        fixed = "Next, when the errors are fixed:" if report.with_severity("error") else "Next:"
        blocks.append([fixed, *(f"  {command}" for command in report.commands)])
    return printable("\n\n".join("\n".join(lines) for lines in blocks if lines))


def printable(text: str) -> str:
    """Text with escapes for what a terminal cannot show, such as names of files that are no text.

    >>> printable("a\\udcff\\x1bb")
    'a\\\\udcff\\\\x1bb'
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text
    )


def _wrapped(line: str, indent: int) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)


def _table(rows: list[FrameCounts]) -> Iterator[str]:
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
        aligned = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
        aligned += [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=False)]
        yield "  " + "  ".join(aligned + cells[len(widths) :]).rstrip()
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
        yield from _wrapped(f"{number:>3}. {finding.what} [{finding.code}]", 5)
        yield from (f"       {line}" for line in finding.where[:_EXAMPLES])
        if len(finding.where) > _EXAMPLES:
            yield f"       and {len(finding.where) - _EXAMPLES:,} more"
        yield from _wrapped(f"     -> {finding.fix}", 8)
