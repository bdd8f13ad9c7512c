"""What we ask of a figure: a title, labels, nothing cut, nothing that only its colour tells apart.

``watch_figures`` asks it of every figure that a kernel of the notebook tests draws.
"""

import re
from collections.abc import Iterator
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

SMALLEST_TEXT = 6.5  # points
LUMINANCE = 0.12  # two greys closer than that look alike
EDGE = 0.04  # inches that rounding may push a text over the edge
NUMBER = re.compile(r"[-+\u2212]?[\d.,]+(e[-+]?\d+)?%?|\$.*\$")


def figure_problems(figure: Figure) -> list[str]:
    """Complaints about a figure that has been drawn; none about a good one."""
    problems = [] if titles(figure) else ["no title"]
    for axes in figure.axes:
        if axes.get_visible() and axes.axison and axes.get_label() != "<colorbar>":
            problems += [f"{_name(axes)}: {what}" for what in (*_unlabelled(axes), *_alike(axes))]
    small = {text.get_text() for text in _texts(figure) if text.get_fontsize() < SMALLEST_TEXT}
    problems += [f"text smaller than {SMALLEST_TEXT} points: {sorted(small)[0]}"] if small else []
    return problems + ([f"cut at the {side}" for side in _cut(figure)])


def titles(figure: Figure) -> list[str]:
    places = ("left", "center", "right")
    own = [axes.get_title(place) for axes in figure.axes for place in places]
    return [title for title in (figure.get_suptitle(), *own) if title]


def _name(axes: Axes) -> str:
    return axes.get_title() or axes.get_ylabel() or f"axes {axes.figure.axes.index(axes) + 1}"


def _texts(figure: Figure) -> Iterator[Text]:
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            yield text


def _unlabelled(axes: Axes) -> list[str]:
    """Axes with numbers at their ticks and nothing that says of what.

    A label that all panels share says it, or that of another panel in the same row (y) or column (x); and the
    title of one panel of several may say it for one axis.
    """
    shared = {"x": axes.figure.get_supxlabel(), "y": axes.figure.get_supylabel()}
    missing = []
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        words = [tick.get_text() for tick in axis.get_ticklabels() if tick.get_visible() and tick.get_text()]
        numbers = bool(words) and all(NUMBER.fullmatch(word) for word in words)
        if axis.get_visible() and numbers and not (shared[name] or _beside(axes, name)):
            missing.append(f"no label at {name}")
    panel = len(axes.figure.axes) > 1 and bool(axes.get_title())
    return missing[1:] if panel else missing


def _beside(axes: Axes, name: str) -> str:
    """The label at y of these axes or of others in their row, at x of others in their column."""
    span = {"x": "colspan", "y": "rowspan"}[name]
    every = [other for other in axes.figure.axes if other.get_subplotspec() is not None]
    own = getattr(axes.get_subplotspec(), span, None)
    mates = [other for other in every if getattr(other.get_subplotspec(), span) == own]
    labels = [getattr(mate, f"get_{name}label")() for mate in (axes, *mates)]
    return next((label for label in labels if label), "")


def _alike(axes: Axes) -> Iterator[str]:
    """Lines, points and bars of the legend that without colour look the same."""
    named = [found for found in _in_legend(axes) if not str(found[0]).startswith("_")]
    for one, other in combinations(named, 2):
        if one[0] != other[0] and one[1] == other[1] and abs(one[2] - other[2]) < LUMINANCE:
            yield f"only colour tells {one[0]} from {other[0]}"


def _in_legend(axes: Axes) -> Iterator[tuple[str, tuple, float]]:
    """Name, form and luminance of each thing that a legend would name."""
    for line in axes.get_lines():
        form = line.get_linestyle(), line.get_marker(), line.get_linewidth(), line.get_markersize()
        yield line.get_label(), form, _luminance(line.get_color(), line.get_alpha())
    for points in axes.collections:
        if isinstance(points, PathCollection) and len(points.get_facecolor()):
            form = "points", str(points.get_paths()[:1]), str(points.get_sizes()[:1])
            yield points.get_label(), form, _luminance(points.get_facecolor()[0], points.get_alpha())
    for bars in axes.containers:
        if isinstance(bars, BarContainer) and len(bars):
            yield bars.get_label(), ("bars", bars[0].get_hatch()), _luminance(bars[0].get_facecolor(), None)


def _luminance(color, alpha: float | None) -> float:
    """How bright a colour is on white paper: 0 black, 1 white."""
    red, green, blue, own = to_rgba(color)
    alpha = own if alpha is None else alpha
    return alpha * (0.2126 * red + 0.7152 * green + 0.0722 * blue) + 1 - alpha


def _cut(figure: Figure) -> list[str]:
    """Sides on which what is drawn goes over the edge."""
    drawn, paper = figure.get_tightbbox(), figure.bbox_inches
    sides = {"left": paper.x0 - drawn.x0, "bottom": paper.y0 - drawn.y0}
    sides |= {"right": drawn.x1 - paper.x1, "top": drawn.y1 - paper.y1}
    return [f"{side} edge by {over:.2f} inches" for side, over in sides.items() if over > EDGE]
