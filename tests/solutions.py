"""The functions in docs/solutions, and what the exercises of a notebook say to them."""

import ast
import io
import re
import runpy
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import numpy as np
from notebook_checks import ROOT, code_cells


def run_as_file(code: str, known: dict) -> dict:
    """Run Python code as a file that knows these names already; returns all names it knows then."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "code.py"
        file.write_text(code, encoding="utf-8")
        return runpy.run_path(str(file), known)


def solution_functions(number: str, **known) -> dict:
    """Name to function: all blocks of ``docs/solutions/<number>.md`` that begin with a definition.

    ``known`` are names that the notebook has imported.
    """
    text = (ROOT / "docs" / "solutions" / f"{number}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    code = "\n".join(block for block in blocks if block.startswith("def "))
    defined = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
    names = run_as_file(code, {"np": np} | known)
    return {name: names[name] for name in defined}


def said_by_exercises(number: str, answers: dict) -> list[str]:
    """What the checks of a notebook print when the reader's functions are ``answers``, a line a check."""
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    printed = io.StringIO()
    for cell in code_cells(nbformat.read(path, as_version=4)):
        module = ast.parse(cell.source)
        lines = [ast.unparse(node) for node in module.body if isinstance(node, ast.Expr)]
        if any(line.startswith(("check(", "check.")) for line in lines):
            unwritten = [node for node in module.body if isinstance(node, ast.FunctionDef)]
            assert {node.name for node in unwritten} <= set(answers)
            module.body = [node for node in module.body if node not in unwritten]
            with redirect_stdout(printed):
                run_as_file(ast.unparse(module), {"np": np} | answers)
    return printed.getvalue().splitlines()
