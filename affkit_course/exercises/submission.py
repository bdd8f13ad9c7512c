"""What a submitted notebook defines: its functions and what these need, without its experiments."""

import ast
import json
import re
import symtable
from pathlib import Path

from affkit.errors import UserError

COURSE_IMPORT = re.compile(r"affkit\.exercises\.nb(\d\d)")


def read_code(path: Path) -> list[str]:
    """The code cells of a notebook, without lines for IPython.

    Raises
    ------
    UserError
        When the file is no notebook.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(path, "is no notebook", "hand in the .ipynb file itself") from error
    return [re.sub(r"^\s*[%!?].*$|^.*\?$", "", source, flags=re.M) for source in sources]


def notebook_number(path: Path, cells: list[str]) -> str:
    """Which notebook of the course this is, by the exercises it imports, else by its name.

    Raises
    ------
    UserError
        When neither says it.
    """
    found = COURSE_IMPORT.search("\n".join(cells)) or re.match(r"(\d\d)", path.name)
    if not found:
        raise UserError(path, "is no notebook of the course", "keep the line that imports check")
    return found[1]


def definitions(cells: list[str], name: str) -> tuple[str, str]:
    """The code that defines a function, and a complaint about a cell that cannot be read.

    A statement is kept when it defines the function, or something that a kept one uses: the helpers,
    imports and numbers of whoever wrote it. So nothing is trained for a check.

    >>> cells = ["import math, time", "time.sleep(9)\\ntwo = 2"]
    >>> cells += ["def area(r):\\n    return math.pi * r**two"]
    >>> print(definitions(cells, "area")[0])
    import math, time
    two = 2
    def area(r):
        return math.pi * r ** two
    """
    statements, uses, complaint = [], [], ""
    for cell in cells:
        try:
            parsed = ast.parse(cell).body
            uses += [_names(statement) for statement in parsed]
            statements += parsed
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if re.search(rf"\b{name}\b", cell):
                complaint = f"the cell stopped with {type(error).__name__}: {error}"
    kept, needed, grown = set(), {name}, True
    while grown:
        new = {i for i, (bound, _) in enumerate(uses) if i not in kept and needed & bound}
        kept |= new
        needed = needed.union(*(uses[i][1] for i in new))
        grown = bool(new)
    return "\n".join(ast.unparse(statements[i]) for i in sorted(kept)), complaint


def _names(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """The global names that a statement gives a value, and those it reads, now or when it is called."""
    table = symtable.symtable(ast.unparse(statement), "statement", "exec")
    own = table.get_symbols()
    bound = {symbol.get_name() for symbol in own if symbol.is_assigned() or symbol.is_imported()}
    read, tables = {symbol.get_name() for symbol in own if symbol.is_referenced()}, [table]
    while tables:
        tables += (inner := tables.pop()).get_children()
        if inner is not table:
            read |= {symbol.get_name() for symbol in inner.get_symbols() if symbol.is_global()}
    return bound, read
