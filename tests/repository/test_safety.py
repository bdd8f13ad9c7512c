"""Rules that hold for the whole repository, read from its files: safe, no machine's paths, one direction."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("affkit", "affkit_lab", "affkit_studio", "affkit_course", "affkit_render")
MAX_FILE, MAX_FUNCTION = 500, 50
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:home|root|work|tmp|Users)/\w")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def tracked() -> list[Path]:
    """The files git keeps; without git, the files that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or [
        path for path in ROOT.rglob("*") if not {".venv", "runs", ".git"} & set(path.parts)
    ]
    return sorted(path for path in paths if path.is_file())


def sources() -> list[tuple[str, str]]:
    """Name and text of all Python there is: files, and notebooks as one text each."""
    found = [(str(p.relative_to(ROOT)), p.read_text()) for p in tracked() if p.suffix == ".py"]
    for path in (p for p in tracked() if p.suffix == ".ipynb"):
        cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        code = "\n".join(re.sub(r"^\s*[%!].*", "", cell, flags=re.M) for cell in cells)
        found.append((str(path.relative_to(ROOT)), code))
    return found


def imported(tree: ast.AST) -> set[str]:
    """Dotted names of all modules a source imports, inside functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def unsafe(source: str) -> list[str]:
    """Ways to run code that is hidden in a file."""
    tree = ast.parse(source)
    roots = {name.split(".")[0] for name in imported(tree)}
    problems = [
        f"imports {name}" for name in sorted(roots & {"pickle", "cPickle", "dill", "shelve", "marshal"})
    ]
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
        name = ast.unparse(call.func)
        if name == "torch.load" and keywords.get("weights_only") != "True":
            problems.append("torch.load without weights_only=True")
        if name.endswith("load") and keywords.get("allow_pickle", "False") != "False":
            problems.append("allow_pickle")
        if name in ("eval", "exec", "os.system") or keywords.get("shell", "False") != "False":
            problems.append(f"runs a string: {name}")
        if name == "yaml.load":
            problems.append("yaml.load; use yaml.safe_load")
    return problems


def test_no_hidden_code_is_ever_run():
    problems = {name: unsafe(text) for name, text in sources()}
    assert {name: found for name, found in problems.items() if found} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from pickle import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
        "yaml.load(text)",
    ],
)
def test_hidden_code_is_seen(source):
    assert len(unsafe(source)) == 1


def test_safe_code_is_left_alone():
    assert unsafe("torch.load(p, weights_only=True)\nnp.load(p, allow_pickle=False)\nmodel.eval()") == []


def machine_paths(text: str) -> list[str]:
    return [line.strip()[:100] for line in text.splitlines() if MACHINE_PATH.search(line)]


def test_no_path_of_a_machine_is_kept():
    found = {}
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # pictures, clips, weights
            continue
        if lines := machine_paths(text):
            found[str(path.relative_to(ROOT))] = lines
    assert found == {}


def test_a_path_of_a_machine_is_seen():
    for folder in ("home", "root", "work", "tmp", "Users"):
        assert machine_paths(f'open("/{folder}/me/clip.mp4")')
    assert not machine_paths("runs/work/a https://example.org/home/x ../tmp/x {root}/work/x")


@each_module
def test_package_fetches_nothing(path):
    names = imported(ast.parse(path.read_text()))
    network = ("requests", "urllib.request", "http.client", "httpx", "aiohttp", "ftplib", "torch.hub")
    assert [name for name in names if name.startswith(network)] == []


@each_module
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE
    long = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            num_lines = node.end_lineno - body[0].lineno + 1 if body else 0
            if num_lines > MAX_FUNCTION:
                long.append(f"{node.name}: {num_lines} lines")
    assert long == []


def test_code_has_one_look():
    for command in (["ruff", "check", "--output-format=concise"], ["ruff", "format", "--check"]):
        run = subprocess.run([sys.executable, "-m", *command, "."], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout
