"""What notebooks must not hold: pictures without words, a helper twice, a way out to the network.

As in ``notebook_checks``, each check returns complaints.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat

# Shell escapes and magics of installers and shells, and names of what fetches
ESCAPE = re.compile(r"^\s*(?:!|%%?(?:pip|conda|mamba|bash|sh|sx|system|script)\b)")
FETCHES = re.compile(
    r"\b(urllib|urlopen|urlretrieve|requests|httpx|aiohttp|ftplib|http\.client|socket|wget|curl|gdown|pip3?"
    r"|conda|git clone|torch\.hub|load_state_dict_from_url|snapshot_download|hf_hub_download|kagglehub)\b"
)


def picture_problems(notebook) -> list[str]:
    """Pictures in the outputs that say nothing to those who cannot see them, or all the same."""
    problems, words = [], []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for mime in filter(lambda mime: mime.startswith("image/"), output.get("data", {})):
                alt = output.metadata.get(mime, {}).get("alt", "").strip()
                if alt:
                    words.append(alt)
                else:
                    problems.append(f"a picture without alt text, below {cell.source.strip()[-60:]!r}")
    problems += [f"{times} pictures say {alt!r}" for alt, times in Counter(words).items() if times > 1]
    return problems


def reach_problems(notebook) -> list[str]:
    """Code that downloads or installs; the run under test would see only what Python itself fetches."""
    problems = []
    for cell in notebook.cells:
        lines = cell.source.splitlines() if cell.cell_type == "code" else []
        reaching = [line for line in lines if ESCAPE.search(line) or FETCHES.search(line)]
        problems += [f"reaches for the network or an installer: {line.strip()}" for line in reaching]
    return problems


def definition_problems(paths: Sequence[Path]) -> list[str]:
    """Functions and classes that stand twice in the notebooks: they belong into affkit.

    Two exercises may ask for a function of the same name: what a reader still has to write does not count.
    """
    where = defaultdict(list)
    for path in paths:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                for name in _defined(cell.source):
                    where[name].append(path.stem)
    return [f"{name} is defined in {', '.join(places)}" for name, places in where.items() if len(places) > 1]


def _defined(source: str) -> Iterator[str]:
    """Names of all functions and classes of a cell, but for answers to be written: ``return ...`` alone."""
    plain = "\n".join("" if re.match(r"\s*[!%]", line) else line for line in source.splitlines())
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if ast.unparse(node.body) != "return ...":
                yield node.name
