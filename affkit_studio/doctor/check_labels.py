"""Checks of the folder as such, of where its annotations are, of label files, and of who is in which set.

A check yields findings: code, severity, and what they are about; what is the matter; how to fix it.
"""

from collections.abc import Iterator
from pathlib import Path

from affkit.corpus.partition import across_tasks, leaks, task_partitions
from affkit.errors import UserError
from affkit.labelfiles.formats import checked_video_name
from affkit.labelfiles.layouts import arousal_file, set_of_folder, task_of_folder
from affkit_studio.doctor.annotations import (
    CHALLENGES,
    Annotations,
    UnreadableFile,
    challenge_in_name,
    challenges_by_folders,
)
from affkit_studio.doctor.folder import Finding, Folder

WORDS = {"va": "valence and arousal", "expr": "expressions", "au": "action units"}

# Findings are laid out by hand: code, severity, where; what is the matter; how to fix it.
# fmt: off


def check_anything(folder: Folder) -> Iterator[Finding]:
    """Whether there is anything that affkit can use."""
    listing, found = folder.listing, folder.annotations
    usable = (listing.videos, listing.crops, listing.stores, listing.pools,
              found.used, found.corpora, found.misnamed, found.faults)
    yield Finding("nothing-usable", "error", [] if any(usable) else [listing.shown(listing.root)],
        "Nothing that affkit can use: no video, no label file of Aff-Wild or Aff-Wild2, no crops named by "
        "frame number, no store of faces.", "give another folder, or unpack what is packed")


def check_paths(folder: Folder) -> Iterator[Finding]:
    """What stands between us and the files."""
    listing, shown = folder.listing, folder.listing.shown
    yield Finding("no-permission", "error", map(shown, listing.closed),
        "Folders that may not be opened: what is in them was not seen.", "change their permissions")
    yield Finding("archive", "warning", map(shown, listing.archives),
        "Packed files: what is in them was not seen.", "unpack them, and look again")
    yield Finding("broken-link", "warning", map(shown, listing.broken),
        "Links that lead nowhere.", "repair or delete them")
    yield Finding("link-loop", "note", map(shown, listing.loops),
        "Links that lead back to a folder they are in; they were not followed.",
        "delete them: other programs may go round in circles")
    yield Finding("unfinished", "note", map(shown, listing.unfinished),
        "What an affkit command left that was interrupted.", "run the same command again: it goes on")
    yield Finding("empty-folder", "note", map(shown, listing.empty),
        "Folders with nothing in them.", "fill or delete them")


def check_lists_and_stores(folder: Folder) -> Iterator[Finding]:
    """Files that say which videos there are or who is in them, and stores, that cannot be read."""
    found = folder.annotations
    errors = {str(error): error for error in (*found.faults, *found.closed, *folder.bad_lists)}.values()
    yield Finding("cannot-read", "error", [_line(folder, error) for error in errors],
        "Files or folders that affkit needs and cannot read: its commands will refuse the folder they are "
        "in.", next((error.fix for error in errors), ""))
    for error in folder.bad_stores:
        yield Finding("store-damaged", "error", [_line(folder, error)],
            "A store of faces that cannot be opened.", error.fix)


def _line(folder: Folder, error: UserError) -> str:
    return f"{folder.listing.shown(Path(error.path))}: {error.problem}"


def check_places(folder: Folder) -> Iterator[Finding]:
    """Label files in folders that no command of affkit looks into."""
    found, shown = folder.annotations, folder.listing.shown
    yield Finding("misnamed-folder", "error", map(shown, found.misnamed),
        "Label files in folders with names that no year has, so nothing finds them. The names change from "
        "year to year: Training_Set, Train_Set; EXPR_Classification_Challenge, EXPR_Recognition_Challenge.",
        "call the folder Train_Set, Validation_Set or Test_Set, in VA_Set, EXPR_Set or AU_Set")
    yield Finding("unknown-layout", "warning", map(shown, found.unknown),
        "Folders of a challenge whose layout is not known: affkit knows those of ABAW1 to ABAW8.",
        "call them as in ABAW8, such as VA_Estimation_Challenge/Train_Set")
    yield Finding("stray-labels", "warning", map(shown, found.strays),
        "Label files that are in no set: no command reads them.",
        "move them into Train_Set or Validation_Set of their task")
    yield Finding("several-corpora", "note", map(shown, found.corpora),
        "Several corpora. Names may be in more than one, so each is to be looked at by itself.",
        "use the commands below")
    layouts = [one.root for one in found.used if one.layout]
    yield Finding("several-annotations", "warning", map(shown, layouts if len(layouts) > 1 else []),
        "Several sets of annotations. affkit reads one at a time; all of them are counted here.",
        "give the commands one of these folders")
    root = folder.listing.root.resolve()
    inside = found.used and set_of_folder(root.name) and task_of_folder(root.parent.name)
    yield Finding("inside-a-layout", "warning", [root.name] if inside else [],
        f"This is one set of one task; its layout begins two folders above, in {root.parent.parent.name}.",
        "look at that folder instead")


def check_sets(folder: Folder) -> Iterator[Finding]:
    """Tasks and sets that are missing, and files in sets that are not read."""
    shown = folder.listing.shown
    for annotations in (one for one in folder.annotations.used if one.layout):
        sets = [key for key in annotations.sources if key[0] != "mtl"]
        tasks = {task for task, _ in sets}
        subsets = sorted({subset for _, subset in sets if subset != "test"})
        lacking = [f"{task}: {one}" for task in sorted(tasks) for one in subsets if (task, one) not in sets]
        absent = [WORDS[task] for task in WORDS if tasks and task not in tasks and not annotations.is_affwild]
        texts = [path for one in annotations.sources.values() for path in folder.listing.texts.get(one, [])]
        yield Finding("empty-set", "error", map(shown, annotations.empty_sets),
            "Folders of sets without any label file: affkit refuses them.",
            "unpack the .txt files of the videos into them, or delete the folders")
        yield Finding("set-missing", "warning", lacking,
            "Some tasks lack a set that others have.",
            "unpack the annotations again; if the folder is there, give it the name of its year")
        yield Finding("task-missing", "note", [shown(annotations.root)] if absent else [],
            f"No annotations of {' or '.join(absent)}.", "nothing, if you do not need them")
        yield Finding("not-txt", "warning", (shown(path) for path in texts if path.suffix.lower() != ".txt"),
            "Files in the folder of a set that do not end in .txt: they are not read.", "rename or move them")
        yield Finding("years-mixed", "warning", _other_years(folder, annotations),
            "Folders of different years in one place, or under the name of another year: two downloads may "
            "have been mixed.", "compare with the download; affkit reads all of it as one")


def _other_years(folder: Folder, annotations: Annotations) -> list[str]:
    """Folders of one year under the name of another."""
    fitting, named = challenges_by_folders(annotations.layout), challenge_in_name(annotations.root)
    if not fitting:
        return sorted({path.parent.name for path in annotations.sources.values()})
    if named not in CHALLENGES or named in fitting:
        return []
    others = " or ".join(f"ABAW{number}" for number in sorted(fitting))
    return [f"{folder.listing.shown(annotations.root)}: has the folders of {others}"]


_UNREADABLE = {  # code: what is the matter, how to fix it
    "encoding": ("Label files that are not UTF-8 text.", "save them as UTF-8"),
    "no-frames": ("Label files without a line for any frame.", "copy or download them again"),
    "no-header": ("Label files without a header: who skips the first line loses frame 1 and shifts all "
                  "others.", "add the header of the other files of that task as the first line"),
    "no-partner": ("Of the two files that Aff-Wild has for a video, valence and arousal, one is missing.",
                   "copy the missing files again"),
    "bad-line": ("Label files that cannot be used as they are.", ""),
}


def check_files(folder: Folder) -> Iterator[Finding]:
    """Files that cannot be read, by the reason."""
    grouped: dict[str, dict[str, str]] = {}
    for bad in (bad for one in folder.annotations.used for bad in one.unreadable):
        grouped.setdefault(_reason(bad), {})[_line(folder, bad.error)] = bad.error.fix
    for path in _lonely_arousals(folder):
        grouped.setdefault("no-partner", {})[f"{folder.listing.shown(path)}: no valence"] = ""
    for code, lines in grouped.items():
        what, fix = _UNREADABLE[code]
        yield Finding(code, "error", sorted(lines), what, fix or next(iter(lines.values())))


def _reason(bad: UnreadableFile) -> str:
    """The code for a file that cannot be read."""
    form, path = bad.form, Path(bad.error.path)
    if form is None:
        return "bad-line" if path.exists() else "no-partner"
    if form.encoding in ("UTF-16", "not UTF-8"):
        return "encoding"
    if not form.num_lines:
        return "no-frames"
    needs_header = bad.task != "mtl" and path.parent.name not in ("valence", "arousal")
    return "no-header" if needs_header and not form.has_header else "bad-line"


def _lonely_arousals(folder: Folder) -> list[Path]:
    """Files of arousal without one of valence; nothing would read them."""
    sources = [source for one in folder.annotations.used for source in one.sources.values()]
    arousals = (path for source in sources for path in folder.listing.texts.get(source / "arousal", []))
    valences = (path for source in sources for path in folder.listing.texts.get(source / "valence", []))
    paired = {arousal_file(path) for path in valences}
    return [path for path in arousals if path not in paired]


def check_names(folder: Folder) -> Iterator[Finding]:
    """Names that cannot be video names everywhere."""
    odd = []
    for name in folder.names:
        try:
            checked_video_name(folder.listing.root, name)
        except UserError:
            odd.append(repr(name))
    yield Finding("odd-name", "error", odd,
        "Names that affkit does not accept for a video: nothing can be written for them.",
        "rename label files and videos: letters, digits, - and _")


def check_content(folder: Folder) -> Iterator[Finding]:
    """Columns that differ from file to file, and files with nothing in them."""
    for task, lists in (pair for one in folder.annotations.used for pair in one.columns.items()):
        differ = len({frozenset(columns) for columns in lists}) > 1
        yield Finding("columns-differ", "warning",
            (f"{task}: {','.join(columns)}" for columns in (lists if differ else [])),
            "Files of one task with different columns: two years may have been mixed.",
            "compare them with the download")
    unlabelled = (one for one in folder.counted if not one.labelled.any() and not one.listed)
    yield Finding("all-marked", "note", (folder.listing.shown(one.path) for one in unlabelled),
        "Label files in which every frame is marked as not labelled.", "nothing, if that is meant")


def check_leaks(folder: Folder) -> Iterator[Finding]:
    """Subjects and videos in several sets (:mod:`affkit.corpus.partition`)."""
    inside, across = [], []
    for annotations in folder.annotations.used:
        names = {key: annotations.names(*key) for key in annotations.sources if key[1] != "all"}
        partitions = task_partitions(names, folder.test_lists)
        for task, partition in partitions.items():
            inside += [f"{task}: {leak}" for leak in leaks(partition, folder.subjects)]
        across += map(str, across_tasks(partitions, folder.subjects))
    yield Finding("in-two-sets", "error", inside,
        "The same people in two sets of one task: a test on them says nothing about new people.",
        "make a partition by subject: affkit split")
    yield Finding("across-tasks", "warning", across,
        "The same people in one set of one task and in another set of another. It does no harm to who "
        "learns one task; who learns several at once is tested on people it has seen.",
        "learn the tasks apart, or make a partition by subject: affkit split")


def check_subjects(folder: Folder) -> Iterator[Finding]:
    """``subjects.csv`` beside the names of the labels."""
    if folder.subjects is not None and folder.names:
        known = set(folder.names) | folder.test_names
        yield Finding("subjects-unknown", "warning", sorted(set(folder.subjects) - known),
            "Names in subjects.csv that no label file has.", "compare the spelling")
        yield Finding("subjects-missing", "warning", sorted(set(folder.names) - set(folder.subjects)),
            "Names that subjects.csv does not have: each is taken for a person of its own.",
            "add a line for each")


def check_forms(folder: Folder) -> Iterator[Finding]:
    """Files that affkit reads as they are, but others may not."""
    shown, used = folder.listing.shown, folder.annotations.used
    bad = {Path(bad.error.path) for one in used for bad in one.unreadable}
    forms = {path: form for one in used for path, form in one.forms.items() if path not in bad}
    yield Finding("byte-order-mark", "note", (shown(path) for path, form in forms.items() if form.has_mark),
        "Label files that begin with a byte order mark. affkit passes over it; a program that does not "
        "finds no column of the first name.", "save them as UTF-8 without it")
    yield Finding("line-ends", "note",
        (f"{shown(path)}: {form.line_ends}" for path, form in forms.items() if form.line_ends != "LF"),
        "Label files with line ends of Windows or of old Macs. affkit reads them like all others.",
        "nothing, unless another program trips over them")
    yield Finding("halves-differ", "warning", (line for one in used for line in one.shorter),
        "Files of valence and arousal of different lengths: the end of the longer one is not used.",
        "copy the shorter files again")
