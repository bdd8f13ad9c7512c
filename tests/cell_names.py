"""Which names a piece of code takes from before it, and which it leaves behind, found without running it."""

import ast
import builtins
import re

NEW_SCOPES = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Names(ast.NodeVisitor):
    """``reads``: names used before they are assigned here; ``writes``: names assigned here, also by import.

    >>> names = names_of("x = y\\nfor i in x:\\n    z += i")
    >>> sorted(names.reads), sorted(names.writes)
    (['y', 'z'], ['i', 'x', 'z'])
    """

    def __init__(self):
        self.reads, self.writes = set(), set()
        self.local: set[str] = set()  # of the function or comprehension that is being read

    def visit_Name(self, node):
        if node.id in self.local:
            return
        if not isinstance(node.ctx, ast.Load):
            self.writes.add(node.id)
        elif node.id not in self.writes and not hasattr(builtins, node.id):
            self.reads.add(node.id)

    def visit_Import(self, node):
        self.writes |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node):
        self.inside({node.name} if node.name else set(), [node])

    def visit_Assign(self, node):
        self.each([node.value, *node.targets])

    def visit_AugAssign(self, node):
        if isinstance(node.target, ast.Name):
            self.visit_Name(ast.Name(node.target.id, ast.Load()))
        self.each([node.value, node.target])

    def visit_For(self, node):
        self.each([node.iter, node.target, *node.body, *node.orelse])

    def visit_Lambda(self, node):
        self.inside({one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}, [node.body])

    def visit_FunctionDef(self, node):
        self.each([*node.decorator_list, *node.args.defaults])
        if not self.local:
            self.writes.add(node.name)
        own = {inner.name for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef)}
        own |= {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
        own |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.inside(own, node.body)

    def visit_ClassDef(self, node):
        self.each([*node.decorator_list, *node.bases])
        self.writes.add(node.name)

    def generic_visit(self, node):
        if isinstance(node, NEW_SCOPES):
            targets = (target for one in node.generators for target in ast.walk(one.target))
            self.visit(node.generators[0].iter)
            rest = [one.iter for one in node.generators[1:]] + [c for one in node.generators for c in one.ifs]
            ends = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            self.inside({n.id for n in targets if isinstance(n, ast.Name)}, rest + ends)
        else:
            super().generic_visit(node)

    def each(self, nodes):
        for node in nodes:
            self.visit(node)

    def inside(self, own: set[str], nodes: list):
        before, self.local = self.local, self.local | own
        for node in nodes:
            super().generic_visit(node) if isinstance(node, ast.ExceptHandler) else self.visit(node)
        self.local = before


def names_of(code: str) -> Names:
    """The names of a cell; lines for IPython are left out."""
    found = Names()
    found.visit(ast.parse(re.sub(r"^\s*[%!].*", "", code, flags=re.M)))
    return found


def changed_later(cells: list[str]) -> list[str]:
    """Names that a cell takes from an earlier one and a later cell changes: going back gives something else.

    >>> changed_later(["a = 1", "print(a)", "a = 2"])
    ['a: cell 2 reads it from cell 1, cell 3 changes it']
    >>> changed_later(["a = 'x'", "a = Path(a)", "print(a)", "a = Path(a)"])
    []
    """
    names = [names_of(cell) for cell in cells]
    found = []
    for place, own in enumerate(names):
        for name in sorted(own.reads - own.writes):
            writers = [number for number, other in enumerate(names) if name in other.writes]
            before = [number for number in writers if number < place]
            after = [number for number in writers if number > place and name not in names[number].reads]
            if before and after:
                text = f"{name}: cell {place + 1} reads it from cell {before[-1] + 1}"
                found.append(f"{text}, cell {after[0] + 1} changes it")
    return found
