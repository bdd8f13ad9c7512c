"""The report on reliability: its bad inputs are many and differ, and its judge sees what is planted."""

import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from mishaps.bad_inputs import KINDS, bad_inputs
from mishaps.judge import BadInput, contents, judge
from mishaps.mutants import ALSO_RIGHT, mutant_rows, mutants, rejects

from affkit_course.exercises.framework import load

pytestmark = pytest.mark.slow  # runs whole commands

BAD = bad_inputs()
SLOW = ("annotate", "browse", "notebooks")  # to import what they need takes longer than to answer
QUICK = [bad for bad in BAD if not bad.line.startswith(SLOW)]
SAMPLE = random.Random(0).sample([bad for bad in QUICK if bad.target], 25)
SAMPLE += [bad for bad in QUICK if bad.kind == "option"]


def test_there_are_hundreds_from_every_kind_and_no_two_alike():
    kinds = Counter(bad.kind for bad in BAD)
    assert len(BAD) >= 200 and set(kinds) == set(KINDS) and min(kinds.values()) >= 8
    assert len({(bad.line, bad.target, bad.fault) for bad in BAD}) == len(BAD)


def test_each_changes_its_file_and_no_two_do_the_same(good, tmp_path):
    """A fault that left the bytes of the sound file would be none."""
    seen = {}
    for number, bad in enumerate(bad for bad in BAD if (good / bad.target).is_file()):
        folder = tmp_path / str(number)
        folder.mkdir()
        for path in (good / bad.target).parent.glob("*.safetensors"):  # the networks beside it
            (folder / path.name).symlink_to(path)
        target = folder / Path(bad.target).name
        target.unlink(missing_ok=True)
        target.write_bytes((good / bad.target).read_bytes())
        before = contents(folder)
        bad.change(target)
        after = contents(folder)
        assert after != before, str(bad)
        key = (bad.line, bad.target, str(after))
        assert key not in seen, f"{bad} is {seen[key]}"
        seen[key] = str(bad)


@pytest.mark.parametrize("bad", SAMPLE, ids=str)
def test_a_bad_input_is_told_in_one_line(bad, good):
    assert judge(bad, good) == []


# The judge


def say(*lines, code=2):
    print(*lines, sep="\n", file=sys.stderr)
    sys.exit(code)


FAITHFUL = "affkit: table.csv: line 3: is blank; write it"
PLANTED = {  # what a command does that should have said one line of table.csv, and what the judge says of it
    "a traceback": (lambda: {}["size"], "traceback: KeyError"),
    "two lines": (lambda: say("a warning", FAITHFUL), "2 lines on stderr"),
    "no line": (lambda: sys.exit(2), "0 lines on stderr"),
    "another name": (lambda: say("affkit: something is wrong; fix it"), "table.csv is not named"),
    "no word of affkit": (lambda: say("table.csv is wrong"), "does not begin with affkit"),
    "a file left behind": (lambda: (Path(".out.part").touch(), say(FAITHFUL)), "altered: .out.part"),
    "an altered file": (lambda: (Path("flat.csv").write_text(""), say(FAITHFUL)), "altered: flat.csv"),
    "a file deleted": (lambda: (Path("flat.csv").unlink(), say(FAITHFUL)), "altered: flat.csv"),
    "success": (lambda: say(FAITHFUL, code=0), "exit code 0"),
    "another code": (lambda: say(FAITHFUL, code=1), "exit code 1"),
    "no end": (lambda: [None for _ in iter(int, 1)], "took more than 0.5 s"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_judge_finds_what_is_planted(name, good):
    act, found = PLANTED[name]
    bad = BadInput("label file", "planted", "stats --data x", ("table.csv",))
    before = contents(good)
    faults = judge(bad, good, act, seconds=0.5)
    assert any(found in fault for fault in faults), faults
    assert contents(good) == before  # the sound files are never touched


def test_the_judge_is_content_with_one_faithful_line(good):
    bad = BadInput("label file", "planted", "stats --data x", ("table.csv",))
    assert judge(bad, good, lambda: say(FAITHFUL)) == []


# Mutants of the solutions of exercises


def test_no_mutant_of_a_solution_slips_through_and_none_is_excused_in_vain():
    rows = mutant_rows()
    assert {row["exercise"]: row["holes"] for row in rows if row["holes"]} == {}
    assert sum(row["mutants"] for row in rows) > 300
    assert sum(row["right as well"] for row in rows) == sum(map(len, ALSO_RIGHT.values()))


def test_every_kind_of_place_is_changed():
    source = "def f(x, y):\n    return g(x, y)[1:] if x < 2 and -y else [h(x, key=y)]"
    found = [text.splitlines()[1].strip() for text in mutants(source)]
    assert sorted(found) == sorted(
        [
            "return g(y, x)[1:] if x < 2 and -y else [h(x, key=y)]",
            "return g(x, y)[:] if x < 2 and -y else [h(x, key=y)]",
            "return g(x, y)[2:] if x < 2 and -y else [h(x, key=y)]",
            "return g(x, y)[1:] if x <= 2 and -y else [h(x, key=y)]",
            "return g(x, y)[1:] if x < 3 and -y else [h(x, key=y)]",
            "return g(x, y)[1:] if x < 2 or -y else [h(x, key=y)]",
            "return g(x, y)[1:] if x < 2 and +y else [h(x, key=y)]",
            "return g(x, y)[1:] if not (x < 2 and -y) else [h(x, key=y)]",
            "return g(x, y)[1:] if x < 2 and -y else [h(x)]",
        ]
    )


def test_a_hole_in_the_examples_is_seen_and_an_endless_mutant_ends(monkeypatch):
    kappa = next(exercise for exercise in load("02").checked if exercise.name == "kappa")
    head = "def kappa(first, second):\n    "
    assert not rejects(kappa, kappa.source)
    assert rejects(kappa, head + "return 1.0")
    monkeypatch.setattr("mishaps.mutants.SECONDS", 0.2)
    assert rejects(kappa, head + "while True:\n        pass")
