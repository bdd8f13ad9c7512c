"""Checks of the folder as such: links, permissions, archives; and of where its annotations are."""

from collections.abc import Iterator
from pathlib import Path

from affkit.labelfiles.layouts import set_of_folder, task_of_folder
from affkit_studio.doctor.annotations import Annotations
from affkit_studio.doctor.case import Case
from affkit_studio.doctor.findings import Finding, plural
from affkit_studio.doctor.messages import found
from affkit_studio.doctor.reading import Contents
from affkit_studio.doctor.years import CHALLENGES, challenge_in_name, challenges_by_folders

WORDS = {"va": "valence and arousal", "expr": "expressions", "au": "action units"}


def check_paths(case: Case) -> Iterator[Finding]:
    """What stands between us and the files."""
    lying = case.survey
    for code, paths in {
        "no-permission": lying.closed,
        "archive": lying.archives,
        "broken-link": lying.broken,
        "link-loop": lying.loops,
        "unfinished": lying.unfinished,
        "empty-folder": lying.empty,
    }.items():
        yield from found(code, map(lying.shown, paths))


def check_anything(case: Case) -> Iterator[Finding]:
    """Whether there is anything that affkit can use."""
    lying, annotations = case.survey, case.found
    here = (lying.videos, lying.crops, lying.stores, lying.pools, annotations.used, annotations.corpora)
    if not any((*here, annotations.misnamed, annotations.faults)):
        yield from found("nothing-usable", [lying.shown(lying.root)])


def check_faults(case: Case) -> Iterator[Finding]:
    """Files that say which videos there are or who is in them, and stores, that cannot be read."""
    faults = {str(fault): fault for fault in (*case.found.faults, *case.found.closed, *case.faults)}.values()
    lines = [f"{case.survey.shown(Path(fault.path))}: {fault.problem}" for fault in faults]
    yield from found("cannot-read", lines, mend=next((fault.mend for fault in faults), ""))
    for error in case.damaged:
        yield from found(
            "store-damaged", [f"{case.survey.shown(Path(error.path))}: {error.problem}"], mend=error.mend
        )


def check_places(case: Case) -> Iterator[Finding]:
    """Label files in folders that no command of affkit looks into."""
    annotations, shown = case.found, case.survey.shown
    yield from found("misnamed-folder", map(shown, annotations.misnamed))
    yield from found("stray-labels", map(shown, annotations.strays))
    yield from found("several-corpora", map(shown, annotations.corpora))
    layouts = [one.root for one in annotations.used if one.layout]
    if len(layouts) > 1:
        yield from found("several-annotations", map(shown, layouts))
    root = case.survey.root.resolve()
    if annotations.used and set_of_folder(root.name) and task_of_folder(root.parent.name):
        yield from found("inside-a-layout", [root.name], above=root.parent.parent.name)


def check_sets(case: Case) -> Iterator[Finding]:
    """Tasks and sets that are missing, and files in sets that are not read."""
    for annotations, contents in case.pairs:
        if annotations.layout is not None:
            yield from _missing(case, annotations, contents)
            yield from _years(case, annotations)


def _missing(case: Case, annotations: Annotations, contents: Contents) -> Iterator[Finding]:
    shown, sets = case.survey.shown, [key for key in annotations.sources if key[0] != "mtl"]
    yield from found("empty-set", map(shown, contents.empty_sets))
    tasks = {task for task, _ in sets}
    subsets = sorted({subset for _, subset in sets if subset != "test"})
    lacking = [f"{task}: {one}" for task in sorted(tasks) for one in subsets if (task, one) not in sets]
    yield from found("set-missing", lacking)
    affwild = any((path / "valence").is_dir() for path in annotations.sources.values())
    absent = [WORDS[task] for task in WORDS if tasks and task not in tasks and not affwild]
    yield from found("task-missing", [shown(annotations.root)] if absent else [], tasks=" or ".join(absent))
    texts = (path for folder in annotations.sources.values() for path in case.survey.texts.get(folder, []))
    yield from found("not-txt", (shown(path) for path in texts if path.suffix != ".txt"))


def _years(case: Case, annotations: Annotations) -> Iterator[Finding]:
    """Folders of one year under the name of another."""
    fitting = challenges_by_folders(annotations.layout)
    named = challenge_in_name(annotations.root)
    if not fitting:
        yield from found("years-mixed", sorted({path.parent.name for path in annotations.sources.values()}))
    elif named in CHALLENGES and named not in fitting:
        others = " or ".join(f"ABAW{number}" for number in sorted(fitting))
        yield from found(
            "years-mixed", [f"{case.survey.shown(annotations.root)}: has the folders of {others}"]
        )


def check_pictures(case: Case) -> Iterator[Finding]:
    """Annotations without anything to see; pictures that nothing finds."""
    lying = case.survey
    if not lying.videos and not lying.crops:
        yield from found("no-pictures", [lying.shown(one.root) for one in case.found.used])
    known = set(case.names) | set(case.videos_by_stem) | case.test_names
    named = [(folder, about) for folder, about in sorted(lying.pictures.items()) if folder.name in known]
    lines = (f"{lying.shown(folder)}: {plural(n, 'picture')}, such as {one}" for folder, (n, one) in named)
    yield from found("picture-names", lines)
