"""How long each notebook takes, as measured: written down by a run of the course, said in the first cells.

A notebook says in its first cell ``**Time** 2 minutes on 2 CPU cores, not measured on a GPU.`` Nobody types
that sentence: :func:`write_times` makes it from what ``affkit notebooks run`` measured, and keeps the seconds
in ``times.json`` beside the notebooks. ``metadata.affkit.gpu`` is true in a notebook that would use a GPU.
"""

import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat

from affkit.errors import UserError
from affkit.files import write_beside
from affkit_course.pages import Result

FILE = "times.json"
SENTENCE = re.compile(r"(?<=\*\*Time\*\* )[^.]+\.")


def record_times(out: Path, results: Sequence[Result], profile: str) -> Path:
    """Write ``times.json``: profile, machine, and the seconds of each notebook that ran to its end."""
    import torch  # slow, and who only reads or writes times needs none of it

    kind = "gpu" if torch.cuda.is_available() else "cpu"
    machine = torch.cuda.get_device_name() if kind == "gpu" else f"{os.cpu_count()} CPU cores"
    seconds = {result.name: round(result.seconds, 1) for result in results if result.ok}
    return _write(out / FILE, {"profile": profile, "kind": kind, "machine": machine, "seconds": seconds})


def write_times(run: str | Path, folder: str | Path) -> dict[str, str]:
    """Say in the first cells of ``folder`` what a run of the small profile measured; the sentences by name.

    What is known of the other kind of machine, and of notebooks that were not run, stays.
    """
    run, folder = Path(run), Path(folder)
    if not (run / FILE).is_file():
        raise UserError(run, f"holds no {FILE}", "give what affkit notebooks run --out made")
    measured = json.loads((run / FILE).read_text())
    if measured["profile"] != "small":
        raise UserError(run / FILE, f"is of the profile {measured['profile']}", "run the small one")
    known = read_times(folder)
    for name, seconds in measured["seconds"].items():
        known.setdefault(name, {})[measured["kind"]] = {"machine": measured["machine"], "seconds": seconds}
    paths = {name: folder / f"{name}.ipynb" for name in measured["seconds"]}
    notebooks = {name: nbformat.read(path, as_version=4) for name, path in paths.items() if path.is_file()}
    for name, notebook in notebooks.items():
        if not SENTENCE.search(notebook.cells[0].source):
            raise UserError(
                paths[name], "no time in its first cell", "begin a paragraph with **Time** 1 minute."
            )
    for name, notebook in notebooks.items():
        head = notebook.cells[0]
        head.source = SENTENCE.sub(sentence(known[name], uses_gpu(notebook)), head.source, count=1)
        with write_beside(paths[name]) as part:
            nbformat.write(notebook, part)
    _write(folder / FILE, {name: known[name] for name in sorted(known)})
    return {name: sentence(known[name], uses_gpu(notebook)) for name, notebook in notebooks.items()}


def read_times(folder: str | Path) -> dict[str, dict]:
    """What is known of each notebook: ``{name: {"cpu" or "gpu": {"machine": ..., "seconds": ...}}}``."""
    path = Path(folder) / FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def uses_gpu(notebook) -> bool:
    return bool(notebook.metadata.get("affkit", {}).get("gpu"))


def sentence(known: dict[str, dict], gpu: bool) -> str:
    """The measured minutes in words, rounded up.

    >>> cpu = {"machine": "2 CPU cores", "seconds": 61.0}
    >>> sentence({"cpu": cpu}, gpu=False)
    '2 minutes on 2 CPU cores, with or without a GPU.'
    >>> sentence({"cpu": cpu}, gpu=True)
    '2 minutes on 2 CPU cores, not measured on a GPU.'
    >>> sentence({"cpu": cpu, "gpu": {"machine": "NVIDIA H100", "seconds": 20.0}}, gpu=True)
    '2 minutes on 2 CPU cores, 1 minute on a GPU (NVIDIA H100).'
    """
    places = {"cpu": "{}", "gpu": "a GPU ({})"}
    words = [
        f"{_minutes(known[kind]['seconds'])} on {place.format(known[kind]['machine'])}"
        for kind, place in places.items()
        if kind in known and (gpu or kind == "cpu")
    ]
    if not gpu:
        words.append("with or without a GPU")
    elif "gpu" not in known:
        words.append("not measured on a GPU")
    return ", ".join(words) + "."


def _minutes(seconds: float) -> str:
    number = max(1, math.ceil(seconds / 60))
    return f"{number} minute{'s' if number > 1 else ''}"


def _write(path: Path, what: dict) -> Path:
    with write_beside(path) as part:
        part.write_text(json.dumps(what, indent=1) + "\n")
    return path
