"""Draw docs/architecture.svg from the imports: rooms, what is in each, and which way the imports run.

    python docs/draw_architecture.py

A test draws it again and compares, so the picture cannot go stale.
"""

import ast
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {  # room: left, top, width and height of its box, and what it is for
    "affkit_course": (20, 20, 560, 100, "the course"),
    "affkit_studio": (20, 160, 560, 100, "what has a screen"),
    "affkit_lab": (20, 300, 560, 100, "measure and repeat"),
    "affkit_render": (660, 20, 190, 380, "draws people"),
    "affkit": (20, 440, 830, 160, "the library"),
}
PAPER = "labels losses metrics gan train_gan multitask train_multitask"
PAPER += " store augment loop checkpoints errors files"
FONT = 'font-family="Helvetica, Arial, sans-serif"'


def imported(path: Path) -> set[str]:
    """The rooms that a module imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names & set(ROOMS)


def arrows() -> list[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second."""
    paths = [(room, path) for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    found = {(room, other) for room, path in paths for other in imported(path) if other != room}
    # the longest way, in the outermost lane, last
    return sorted(found, key=lambda pair: (ROOMS[pair[1]][1] - ROOMS[pair[0]][1], pair))


def contents(room: str) -> list[str]:
    """The packages of a room, and the modules beside them."""
    folder = ROOT / room
    packages = sorted(path.parent.name + "/" for path in folder.glob("*/__init__.py"))
    modules = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))
    modules = [name for name in modules if room != "affkit" or name not in PAPER.split()]
    return [*packages, *modules]


def wrapped(words: list[str], width: int) -> list[str]:
    """Words in lines of at most ``width`` letters."""
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) + 2 > width:
            lines.append("")
        lines[-1] += ("  " if lines[-1] else "") + word
    return lines


def box(room: str) -> list[str]:
    """A room: its name, what it is for, and what is in it."""
    left, top, width, height, purpose = ROOMS[room]
    x, fill = left + 14, "#fff4d6" if room == "affkit" else "#eef3f8"
    parts = [
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="#456"/>',
        f'<text x="{x}" y="{top + 24}" font-size="17" font-weight="bold" {FONT}>{room}</text>',
        f'<text x="{x}" y="{top + 44}" font-size="13" font-style="italic" {FONT}>{escape(purpose)}</text>',
    ]
    lines = [(line, 13) for line in wrapped(contents(room), width // 8)]
    if room == "affkit":
        lines = [("read in this order:", 13), *((line, 15) for line in wrapped(PAPER.split(), 120)), *lines]
    for number, (line, size) in enumerate(lines):
        y = top + 68 + 20 * number
        parts.append(f'<text x="{x}" y="{y}" font-size="{size}" fill="#234" {FONT}>{line}</text>')
    return parts


def neighbours(start: str, end: str) -> bool:
    """Whether nothing lies between two boxes."""
    return ROOMS[end][1] - ROOMS[start][1] - ROOMS[start][3] < 60


def arrow(start: str, end: str, lane: int = 0) -> str:
    """From one box straight down to its neighbour; past other boxes it runs in a lane beside them."""
    left, top, width, height, _ = ROOMS[start]
    style = 'fill="none" stroke="#456" stroke-width="2" marker-end="url(#tip)"'
    target = ROOMS[end][1]
    if neighbours(start, end):
        return f'<path d="M {left + width / 2} {top + height} V {target - 7}" {style}/>'
    x, y = left + width, top + height / 2
    last = f"V {target - 7}" if end == "affkit" else f"V {target + 50} H {x + 7}"
    return f'<path d="M {x} {y} H {x + 14 + 20 * lane} {last}" {style}/>'


def picture() -> str:
    """The drawing as SVG text."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 870 620" role="img">',
        "<title>Five rooms; arrows are imports, and all run downwards</title>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="7" refY="5" markerWidth="5" markerHeight="5"',
        ' orient="auto"><path d="M 0 0 L 10 5 L 0 10 z" fill="#456"/></marker></defs>',
        '<rect width="870" height="620" fill="white"/>',
    ]
    parts += [part for room in ROOMS for part in box(room)]
    near = [pair for pair in arrows() if neighbours(*pair)]
    far = [pair for pair in arrows() if not neighbours(*pair)]
    parts += [arrow(*pair) for pair in near] + [arrow(*pair, lane) for lane, pair in enumerate(far)]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    (ROOT / "docs" / "architecture.svg").write_text(picture(), encoding="utf-8")
