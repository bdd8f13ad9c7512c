"""notebooks/README.md and its picture name the notebooks, files and exercises that there are."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from repository import ROOT, cells_of

from affkit_course import course_map
from affkit_course.exercises.framework import Exercise, load, numbers

NOTEBOOKS = ROOT / "notebooks"
README = (NOTEBOOKS / "README.md").read_text()
PATHS = {path.name[:2]: path for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
SAMPLES = ROOT / "data_samples"


def title(number: str) -> str:
    return re.search(r"^# (.+)$", cells_of(PATHS[number], "markdown")[0], re.M)[1]


@pytest.mark.parametrize("number", PATHS)
def test_every_notebook_is_named_with_its_title_and_exercises(number):
    every = load(number).exercises if number in numbers() else []
    checked = sum(isinstance(exercise, Exercise) for exercise in every)
    (row,) = re.findall(rf"^\| \[{number} .*", README, re.M)
    named, minutes, *counts = (cell.strip() for cell in row.split("|")[1:-1])
    assert named == f"[{title(number)}]({PATHS[number].name})"
    assert list(map(int, counts)) == [checked, len(every) - checked]
    (main_row,) = re.findall(rf"^\| \[{number} .*", (ROOT / "README.md").read_text(), re.M)
    assert main_row.split("|")[-2].strip() == minutes  # the README of the kit says the same


def test_both_pages_are_linked():
    assert "(course_map.svg)" in README and "(../docs/paper_map.md)" in README
    kit = (ROOT / "README.md").read_text()
    assert "(notebooks/README.md)" in kit and "(docs/paper_map.md)" in kit


def test_every_grade_has_its_line_in_both_rubrics():
    grades = {exercise.grade for number in numbers() for exercise in load(number)}
    rubric = README.split("## Rubric")[1].split("**Projects.**")[0]
    lines = {grade: len(re.findall(rf"^\| {grade} \| \d \|", rubric, re.M)) for grade in grades}
    assert lines == {"warm-up": 2, "standard": 2, "hard": 2}


def test_eight_projects_start_from_sections_and_data_that_there_are():
    section = README.split("## Eight projects")[1]
    projects = re.findall(r"^\d\. \*\*.+?(?=^\d\. \*\*|^Not )", section, re.M | re.S)
    assert len(projects) == 8
    for project in projects:
        data, start = re.search(r"\*Data:\*(.+?)\. *\*Starts\s+from\*(.+)", project, re.S).groups()
        names = re.findall(r"`([^`]+)`", data)
        paths = [name for name in names if name not in ("covered", "yaw")]
        assert paths and [path for path in paths if not (SAMPLES / path).exists()] == []
        named = re.findall(r"\b(\d\d), *\s*sections? (\d)(?: and (\d))?", start)
        assert named, start
        for number, *wanted in named:
            headings = re.findall(r"^## (\d+) ", "\n".join(cells_of(PATHS[number], "markdown")), re.M)
            assert set(filter(None, wanted)) <= set(headings), (number, wanted)


def test_the_picture_is_what_the_tool_draws_and_names_all():
    drawn = (NOTEBOOKS / "course_map.svg").read_text()
    assert drawn == course_map.picture()
    words = " ".join(ElementTree.fromstring(drawn).itertext())
    assert [number for number in PATHS if title(number)[:24] not in words] == []
    shipped = {path.name for path in SAMPLES.iterdir()} - {"DATASHEET.md", "LICENSE", "weights"}
    shipped |= {f"weights/{path.name}" for path in (SAMPLES / "weights").iterdir()} - {"weights/README.md"}
    assert shipped == set(course_map.FILES)


@pytest.mark.parametrize("name", course_map.FILES)
def test_the_picture_says_which_notebook_reads_a_file(name):
    """A file is needed where code names it: what is written after a # does not count."""
    assert (SAMPLES / name).exists()
    word = f"data_samples/{name}" if name in ("clips", "corpus", "pool", "results") else Path(name).name
    code = {number: re.sub(r" # .*", "", "\n".join(cells_of(PATHS[number]))) for number in PATHS}
    readers = [number for number, text in code.items() if re.search(rf"\b{re.escape(word)}\b", text)]
    assert readers == course_map.FILES[name].split()


def test_ideas_come_from_earlier_notebooks_only_and_their_words_stay_inside():
    assert set(course_map.IDEAS) == set(PATHS) - {"00"}
    assert all(early < later for later, given in course_map.IDEAS.items() for early in given)
    for number, given in course_map.IDEAS.items():
        lines = course_map.words(number, [f"{source} {idea}" for source, idea in given.items()])
        assert len(lines) <= 2
        assert max(len(ElementTree.fromstring(line).text) for line in lines) <= course_map.LONGEST + 2


def test_every_picture_of_a_page_has_words_for_those_who_cannot_see_it():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *NOTEBOOKS.rglob("*.md")]
    pictures = {page: re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text()) for page in pages}
    assert {name for found in pictures.values() for _, name in found} >= {"docs/faces.png", "course_map.svg"}
    assert all(len(words) > 20 for found in pictures.values() for words, _ in found)
    assert not [page for page in pages if re.search(r"<img(?![^>]*\balt=\"[^\"])", page.read_text())]
