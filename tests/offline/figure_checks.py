"""What we ask of a figure: a title, labels, nothing cut, nothing that only its colour tells apart.

:func:`watch` looks at every figure that a Python process draws. ``sitecustomize`` calls it in the kernels of
the notebook tests, where an environment variable names a file for its complaints.
"""

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

SMALLEST_TEXT = 6.5  # points
LUMINANCE = 0.12  # two greys closer than that look alike
EDGE = 0.04  # inches that rounding may push a text over the edge
NUMBER = re.compile(r"[-+\u2212]?[\d.,]+(e[-+]?\d+)?%?|\$.*\$")


def figure_problems(figure: Figure) -> list[str]:
    """Complaints about a figure that has been drawn; none about a good one."""
    problems = [] if _titles(figure) else ["no title"]
    for axes in figure.axes:
        if axes.get_visible() and axes.axison and axes.get_label() != "<colorbar>":
            problems += [f"{_name(axes)}: {what}" for what in (*_unlabelled(axes), *_alike(axes))]
    small = {text.get_text() for text in _texts(figure) if text.get_fontsize() < SMALLEST_TEXT}
    problems += [f"text smaller than {SMALLEST_TEXT} points: {sorted(small)[0]}"] if small else []
    return problems + ([f"cut at the {side}" for side in _cut(figure)])


def _titles(figure: Figure) -> list[str]:
    places = ("left", "center", "right")
    own = [axes.get_title(place) for axes in figure.axes for place in places]
    return [title for title in (figure.get_suptitle(), *own) if title]


def _name(axes: Axes) -> str:
    return axes.get_title() or axes.get_ylabel() or f"axes {axes.figure.axes.index(axes) + 1}"


def _texts(figure: Figure) -> Iterator[Text]:
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            yield text


def _unlabelled(axes: Axes) -> Iterator[str]:
    """An axis with numbers at its ticks and nothing that says of what.

    The title of one panel of several may say it, and so may a label that all panels share.
    """
    panel = len(axes.figure.axes) > 1 and axes.get_title()
    shared = {"x": axes.figure.get_supxlabel(), "y": axes.figure.get_supylabel()}
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        words = [tick.get_text() for tick in axis.get_ticklabels() if tick.get_visible() and tick.get_text()]
        numbers = bool(words) and all(NUMBER.fullmatch(word) for word in words)
        said = axis.get_label().get_text() or shared[name] or (panel and name == "y")
        if axis.get_visible() and numbers and not said:
            yield f"no label at {name}"


def _alike(axes: Axes) -> Iterator[str]:
    """Lines of the legend that without colour look the same."""
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    for one, other in combinations(lines, 2):
        if _look(one) == _look(other) and abs(_luminance(one) - _luminance(other)) < LUMINANCE:
            yield f"only colour tells {one.get_label()} from {other.get_label()}"


def _look(line: Line2D) -> tuple:
    return line.get_linestyle(), line.get_marker(), line.get_linewidth(), line.get_markersize()


def _luminance(line: Line2D) -> float:
    """How bright the line is on white paper: 0 black, 1 white."""
    red, green, blue = to_rgb(line.get_color())
    alpha = 1 if line.get_alpha() is None else line.get_alpha()
    return alpha * (0.2126 * red + 0.7152 * green + 0.0722 * blue) + 1 - alpha


def _cut(figure: Figure) -> list[str]:
    """Sides on which what is drawn goes over the edge."""
    drawn, paper = figure.get_tightbbox(), figure.bbox_inches
    sides = {"left": paper.x0 - drawn.x0, "bottom": paper.y0 - drawn.y0}
    sides |= {"right": drawn.x1 - paper.x1, "top": drawn.y1 - paper.y1}
    return [f"{side} edge by {over:.2f} inches" for side, over in sides.items() if over > EDGE]


def watch(complaints: Path) -> None:
    """From now on write what is wrong with each figure that is drawn, a line each, to a file."""
    draw = FigureCanvasBase.print_figure

    def drawn(canvas, *arguments, **how):
        result = draw(canvas, *arguments, **how)
        titles = " / ".join(_titles(canvas.figure)[:1]) or "a figure"
        with open(complaints, "a", encoding="utf-8") as file:
            file.writelines(f"{titles}: {problem}\n" for problem in figure_problems(canvas.figure))
        return result

    FigureCanvasBase.print_figure = drawn
