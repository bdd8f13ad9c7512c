"""Draw notebooks/course_map.svg: what each notebook needs of the shipped files and of earlier notebooks.

    python -m affkit_course.course_map

Plain SVG in black, white and grey. :data:`FILES` and :data:`IDEAS` are what it shows.
"""

import textwrap
from html import escape
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "notebooks" / "course_map.svg"
FILES = {  # below data_samples/ -> the notebooks that read it
    "clips": "00 01 04 12",
    "action_units.jpg": "01",
    "corpus": "02 03 07 08 09 10 11 12",
    "pool": "05 06 07 08 11 12",
    "weights/gan_1": "00 06 07 08 12",
    "weights/gan_2": "00 07 11 12",
    "weights/features.safetensors": "07 11",
    "weights/cnn.safetensors": "09 11 12",
    "weights/affwildnet.safetensors": "09 11 12",
    "results": "08 09 10 12",
}
IDEAS = {  # notebook -> earlier notebook -> what of it is needed
    "01": {"00": "a clip with all its labels"},
    "02": {"01": "action units, what a mask is"},
    "03": {"01": "label files", "02": "labels that coders agree on"},
    "04": {"00": "the way of a clip", "01": "line i is frame i"},
    "05": {"01": "valence and arousal, masks"},
    "06": {"05": "why networks return logits"},
    "07": {"05": "what each loss rewards", "06": "the two networks"},
    "08": {"03": "sets of people", "05": "masks in a loss", "07": "training a GAN"},
    "09": {"03": "sets of people", "04": "tracks, the store", "05": "CCC as a loss"},
    "10": {"02": "late raters", "03": "skew", "05": "CCC and MSE", "09": "who predicted"},
    "11": {"06": "what z means", "07": "features, copies", "08": "what a network reads"},
    "12": {"07": "GAN recipes", "08": "verdicts", "09": "the labelling network", "10": "intervals"},
}

ROW, TOP, BOTTOM = 50, 216, 70
FILE_X, FILE_STEP = 24, 30
BOX_X, BOX_WIDTH, BOX_HEIGHT, BOX_LETTERS = 342, 330, 38, 42
IDEA_X, IDEA_STEP = 700, 26
WORDS_X, WIDTH, LONGEST = 985, 1330, 46  # LONGEST letters fit into a line of words
IN, OUT = -8, 9  # a row's line into its box and the one out of it, below the middle
FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>The course: what each notebook needs</title>
<style>text {{ font: 15px Helvetica, Arial, sans-serif; fill: #111 }} .small {{ font-size: 12px }}
.head {{ font-weight: bold }} .band {{ fill: #f0f0f0 }} .box {{ fill: #fff; stroke: #111; stroke-width: 1.5 }}
.line, .arrow {{ fill: none; stroke: #333; stroke-width: 1.3 }} .arrow {{ marker-end: url(#head) }}
circle {{ fill: #111 }}</style>
<defs><marker id="head" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="9" markerHeight="9"\
 orient="auto"><path d="M0,1 L10,5 L0,9 z" fill="#333"/></marker></defs>
<rect width="{width}" height="{height}" fill="#fff"/>
{parts}
</svg>
"""


def titles() -> dict[str, str]:
    """Number of each notebook -> its first heading."""
    paths = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    first = (nbformat.read(path, as_version=4).cells[0].source.splitlines()[0] for path in paths)
    return {path.name[:2]: line.removeprefix("# ") for path, line in zip(paths, first, strict=True)}


def middle(notebook: str) -> int:
    return TOP + ROW * int(notebook) + ROW // 2


def line(*points: tuple[float, float], style: str = "line") -> str:
    """A line through points; ``style`` is a class of the picture, ``arrow`` has a head."""
    return f'<polyline class="{style}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'


def dot(x: float, y: float) -> str:
    return f'<circle cx="{x}" cy="{y}" r="4.5"/>'


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" {more}>{escape(words)}</text>'


def rows(names: dict[str, str]) -> list[str]:
    """A box with its title for each notebook, on bands that lead the eye."""
    parts = []
    for number, name in names.items():
        y = middle(number)
        if int(number) % 2 == 0:
            parts.append(f'<rect class="band" x="0" y="{y - ROW // 2}" width="{WIDTH}" height="{ROW}"/>')
        size = f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}"'
        parts.append(f'<rect class="box" x="{BOX_X}" y="{y - BOX_HEIGHT // 2}" rx="4" {size}/>')
        parts.append(text(BOX_X + 10, y + 5, textwrap.shorten(name, BOX_LETTERS, placeholder=" ...")))
    return parts


def files() -> list[str]:
    """A column for each shipped file or folder, a dot where a notebook reads it."""
    parts, needed = [], {}
    for column, (name, readers) in enumerate(FILES.items()):
        x, numbers = FILE_X + FILE_STEP * column, readers.split()
        parts.append(text(x + 4, TOP - 12, name, f'transform="rotate(-58 {x + 4} {TOP - 12})"'))
        parts.append(line((x, TOP - 8), (x, middle(numbers[-1]))))
        parts += [dot(x, middle(number)) for number in numbers]
        needed = dict.fromkeys(numbers, x) | needed  # the first column that a notebook needs
    arrows = [line((x, middle(one)), (BOX_X - 2, middle(one)), style="arrow") for one, x in needed.items()]
    return parts + arrows


def ideas() -> list[str]:
    """A column from each notebook whose ideas are needed, a dot and an arrow where they are."""
    parts, sources = [], sorted({source for given in IDEAS.values() for source in given})
    columns = {source: IDEA_X + IDEA_STEP * i for i, source in enumerate(sources)}
    for source, x in columns.items():
        last = max(number for number, given in IDEAS.items() if source in given)
        start = middle(source) + OUT
        parts.append(line((BOX_X + BOX_WIDTH, start), (x, start), (x, middle(last) + IN)))
        parts.append(text(x + 5, start - 3, source, 'class="small"'))
    for number, given in IDEAS.items():
        y, xs = middle(number) + IN, [columns[source] for source in given]
        parts.append(line((max(xs), y), (BOX_X + BOX_WIDTH + 2, y), style="arrow"))
        parts += [dot(x, y) for x in xs]
        parts += words(number, [f"{source} {idea}" for source, idea in given.items()])
    return parts


def words(number: str, items: list[str]) -> list[str]:
    """The ideas of a row in words, in one line or two."""
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) > LONGEST:
            lines.append("")
        lines[-1] += ("; " if lines[-1] else "") + item
    first = middle(number) + 5 - 9 * (len(lines) - 1)
    return [text(WORDS_X, first + 18 * i, each) for i, each in enumerate(lines)]


def picture() -> str:
    names = titles()
    height = TOP + ROW * len(names) + BOTTOM
    heads = {BOX_X: "the notebooks", WORDS_X: "what of them is needed", IDEA_X: "ideas of earlier notebooks"}
    parts = [
        *(*rows(names), *files(), *ideas()),
        *(text(x, TOP - 12, head, 'class="head"') for x, head in heads.items()),
        text(FILE_X - 8, 30, "files of data_samples/", 'class="head"'),
        text(BOX_X, height - 42, "A dot is a need; the arrow leads to the notebook that has it."),
        text(BOX_X, height - 20, "Each notebook runs alone; ideas are for the reader."),
    ]
    return FRAME.format(width=WIDTH, height=height, parts="\n".join(parts))


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
