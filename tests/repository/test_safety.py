"""Rules for the whole repository, read from its files: safe, short, no machine's paths, one look."""

import ast
import re
import subprocess
import sys
from contextlib import suppress

import pytest
from repository import MODULES, ROOT, imported, longest_function, relative, sources, tracked

MAX_FILE, MAX_FUNCTION = 500, 50
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:home|root|work|tmp|Users)/\w")
NETWORK = ("requests", "urllib.request", "http.client", "httpx", "aiohttp", "ftplib", "torch.hub")


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


@pytest.mark.slow
def test_no_hidden_code_is_ever_run():
    problems = {name: unsafe(text) for name, text in sources()}
    assert {name: found for name, found in problems.items() if found} == {}


@pytest.mark.parametrize("source", [
    "import pickle",
    "def f():\n    from pickle import load",
    "torch.load(path)",
    "torch.load(path, weights_only=False)",
    "np.load(path, allow_pickle=True)",
    "eval(text)",
    "subprocess.run(text, shell=True)",
    "yaml.load(text)",
])  # fmt: skip
def test_hidden_code_is_seen_and_safe_code_left_alone(source):
    assert len(unsafe(source)) == 1
    assert unsafe("torch.load(p, weights_only=True)\nnp.load(p, allow_pickle=False)\nmodel.eval()") == []


def machine_paths(text: str) -> list[str]:
    return [line.strip()[:100] for line in text.splitlines() if MACHINE_PATH.search(line)]


def test_no_path_of_a_machine_is_kept():
    found = {}
    for path in tracked():
        with suppress(UnicodeDecodeError):  # pictures, clips, weights
            found[relative(path)] = machine_paths(path.read_text(encoding="utf-8"))
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_path_of_a_machine_is_seen():
    for folder in ("home", "root", "work", "tmp", "Users"):
        assert machine_paths(f'open("/{folder}/me/clip.mp4")')
    assert not machine_paths("runs/work/a https://example.org/home/x ../tmp/x {root}/work/x")


def test_package_fetches_nothing():
    names = {relative(path): imported(ast.parse(path.read_text())) for path in MODULES}
    found = {path: [name for name in own if name.startswith(NETWORK)] for path, own in names.items()}
    assert {path: names for path, names in found.items() if names} == {}


def test_files_and_functions_stay_short():
    texts = {relative(path): path.read_text() for path in MODULES}
    assert {path: lines for path, text in texts.items() if (lines := text.count("\n")) > MAX_FILE} == {}
    longest = {path: longest_function(text) for path, text in texts.items()}
    assert {path: found for path, found in longest.items() if found[0] > MAX_FUNCTION} == {}


def test_code_has_one_look():
    for command in (["ruff", "check", "--output-format=concise"], ["ruff", "format", "--check"]):
        run = subprocess.run([sys.executable, "-m", *command, "."], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout
