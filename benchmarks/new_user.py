"""A new user's walk, timed: the commands of the README's "A first face", in an empty folder.

    python benchmarks/new_user.py [--save]

A fresh clone, a fresh environment and nothing kept by pip; what is typed is what the README says, but for the
address to clone. ``--save`` writes ``new_user.md`` beside this file.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import PIL.Image
from bench import machine
from tqdm import tqdm

HERE = Path(__file__).parent
ROOT = HERE.parent
HEADING = "## A first face"


def main(arguments: list[str] | None = None) -> int:
    """Walk, print, and return 1 when a command failed or no picture is there at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true", help="write benchmarks/new_user.md")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="new-user-") as folder:
        rows, picture = walk(commands((ROOT / "README.md").read_text()), Path(folder))
    text = report(rows, picture)
    print(text)
    if options.save and picture:
        (HERE / "new_user.md").write_text(text)
    return 0 if picture else 1


def commands(readme: str) -> list[str]:
    """The lines to type, from the first block of code below the heading; comments are left out.

    >>> commands("## A first face\\n\\n```\\ngit clone X a && cd a\\nmake install  # minutes\\n```\\n## Next")
    ['git clone X a && cd a', 'make install']
    """
    block = re.search(rf"^{HEADING}\n.*?^```\n(.*?)^```", readme, re.M | re.S)[1]
    return [line for line in (re.sub(r" +# .*", "", line) for line in block.splitlines()) if line]


def walk(lines: list[str], folder: Path) -> tuple[list[tuple[str, float]], str]:
    """Each command with its seconds, and the size of the picture of the last one; empty if there is none."""
    home = folder / "home"
    home.mkdir()
    environment = {"PATH": os.defpath + ":/usr/local/bin:" + str(Path(sys.base_prefix) / "bin")}
    environment |= {"HOME": str(home), "PIP_NO_CACHE_DIR": "1", "LANG": "C.UTF-8"}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    where, rows = folder, []
    for line in tqdm(lines, unit="command"):
        typed = line.replace("<this repository>", str(ROOT))
        start = time.perf_counter()
        done = subprocess.run(["bash", "-c", typed], cwd=where, env=environment, stdin=subprocess.DEVNULL)
        rows.append((line, time.perf_counter() - start))
        if done.returncode:
            print(f"exit code {done.returncode}: {line}", file=sys.stderr)
            return rows, ""
        if entered := re.search(r"&& cd (\S+)$", line):
            where = where / entered[1]
    with PIL.Image.open(where / lines[-1].split()[-1]) as picture:
        return rows, f"{picture.width} x {picture.height} pixels"


def report(rows: list[tuple[str, float]], picture: str) -> str:
    """A table of the commands, their seconds, and the clock since the first of them."""
    lines = [
        "# From a clone to the first face",
        "",
        "| typed | seconds | since the start |",
        "| --- | --- | --- |",
    ]
    clock = 0.0
    for line, seconds in rows:
        clock += seconds
        lines.append(f"| `{line}` | {seconds:.1f} | {int(clock // 60)} min {clock % 60:.0f} s |")
    lines += [
        "",
        f"The picture: {picture or 'none'}. Measured on {machine()}, from a package index that is near;",
    ]
    return "\n".join([*lines, "with a slow network `make install` is what takes longer.", ""])


if __name__ == "__main__":
    sys.exit(main())
