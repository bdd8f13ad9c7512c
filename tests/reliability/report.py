"""How reliable the kit is, by one command: bad inputs, kills, sheer size, and the checks of exercises.

    python tests/reliability/report.py [--quick] [--save] [bad-inputs] [kills] [scale] [checks]

Bad inputs: some hundred sound files are spoiled, each in one way, and given to a real command; wanted is one
line that names the file or option, exit code 2, and nothing written. Kills: real processes are ended by
SIGKILL at random moments; the same command must go on to the same bytes. Scale: a million faces and two
million lines of labels. Checks: each solution of an exercise is changed in one place, which its check must
see. ``--save`` writes the tables to ``report.md`` beside this file, each part into a section of its own.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tiny networks, and others want the cores too

HERE = Path(__file__).parent
sys.path += [str(HERE.parents[1] / "benchmarks"), str(HERE.parent / "fixtures")]

import pandas as pd  # noqa: E402
from bench import machine, markdown  # noqa: E402
from mishaps.bad_inputs import bad_inputs  # noqa: E402
from mishaps.good import make_good  # noqa: E402
from mishaps.judge import judge  # noqa: E402
from mishaps.kills import kill_all  # noqa: E402
from mishaps.mutants import mutant_rows  # noqa: E402
from mishaps.scale import scale_rows  # noqa: E402
from tqdm import tqdm  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"only these of {', '.join(REPORTS)}; all without")
    parser.add_argument("--quick", action="store_true", help="6 kills instead of 50, a tenth of the faces")
    parser.add_argument("--save", action="store_true", help="write tests/reliability/report.md")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(REPORTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    sound = True
    for part in options.parts or REPORTS:
        text, fine = REPORTS[part](options.quick)
        print(f"\n{text}", flush=True)
        sound &= fine
        if options.save:
            save(HERE / "report.md", part, text)
    return 0 if sound else 1


def save(path: Path, part: str, text: str) -> None:
    """Put the section of one part into the report, whose other sections stay."""
    old = path.read_text() if path.exists() else ""
    sections = dict(re.findall(r"<!-- (\S+) -->\n(.*?)(?=<!-- |\Z)", old, flags=re.DOTALL))
    sections[part] = f"{text.rstrip()}\n\nMeasured on {machine()}.\n\n"
    body = "".join(f"<!-- {name} -->\n{sections[name]}" for name in REPORTS if name in sections)
    path.write_text(f"# Reliability\n\n{body.rstrip()}\n")


def report_bad_inputs(quick: bool = False) -> tuple[str, bool]:
    """The table of the kinds of bad input, every violation, and whether there is none."""
    from affkit_course import run  # noqa: F401  (slow to import, and the limit of time is for the work)
    from affkit_studio import standalone  # noqa: F401

    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="affkit-good-") as folder:
        good = make_good(Path(folder))
        bar = tqdm(bad_inputs(), desc="bad inputs", unit="input", disable=None)
        found = [(bad, judge(bad, good)) for bad in bar]
    table = pd.DataFrame([{"what is bad": bad.kind, "violations": bool(faults)} for bad, faults in found])
    table = table.groupby("what is bad", sort=False)["violations"].agg(inputs="size", violations="sum")
    table.loc["all"] = table.sum()
    violations = [f"- {bad}: {'; '.join(faults)}" for bad, faults in found if faults]
    words = f"One line that names it, exit code 2, nothing written; {time.perf_counter() - start:.0f} s."
    lines = [f"## {len(found)} bad inputs", "", words, "", markdown(table.reset_index().astype(str)), ""]
    return "\n".join([*lines, *violations, ""]), not violations


def report_kills(quick: bool = False) -> tuple[str, bool]:
    table = pd.DataFrame(kill_all(6 if quick else 50))
    fine = not table["violations"].astype(bool).any()
    words = "SIGKILL at random moments; the same command goes on to the same bytes, nothing saved is lost."
    return f"## {table['kills'].sum()} kills\n\n{words}\n\n{markdown(table.astype(str))}\n", fine


def report_scale(quick: bool = False) -> tuple[str, bool]:
    rows, fine = scale_rows(quick)
    return f"## Scale\n\n{markdown(pd.DataFrame(rows).astype(str))}\n", fine


def report_checks(quick: bool = False) -> tuple[str, bool]:
    table = pd.DataFrame(mutant_rows())
    sums = table[["mutants", "rejected", "right as well"]].sum()
    table.loc[len(table)] = {"exercise": "all", **sums, "holes": ""}
    words = "Every operator, comparison, number, slice and argument of each solution, changed one at a time."
    head = f"## {sums['mutants']} wrong answers nobody thought of\n\n{words}"
    return f"{head}\n\n{markdown(table.astype(str))}\n", not table["holes"].astype(bool).any()


REPORTS = {
    "bad-inputs": report_bad_inputs,
    "kills": report_kills,
    "scale": report_scale,
    "checks": report_checks,
}

if __name__ == "__main__":
    sys.exit(main())
