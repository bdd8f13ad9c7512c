"""Every figure of the kit, in one look that reads without colour."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from affkit.files import refuse_existing, write_beside
from affkit.store import image_grid

if TYPE_CHECKING:  # what shows a picture in a notebook; writing one to a file needs no notebook
    from IPython.display import Image

PALETTE = sns.color_palette("colorblind")
"""Seven or more hues that stay apart in the common forms of colour blindness."""


def use_style() -> None:
    """Switch matplotlib to the kit's look: white, light grid, readable at 100% zoom."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update({"figure.dpi": 72, "savefig.dpi": 72, "figure.constrained_layout.use": True})


def picture_strip(
    pictures: Sequence[np.ndarray], titles: Sequence[str] | None = None, title: str = ""
) -> "Image":
    """Pictures side by side, ``(H, W, 3)`` uint8 each, with a line of text above each one.

    >>> strip = picture_strip([np.zeros((8, 8, 3), np.uint8)] * 3, ["a", "b", "c"], "Three black squares")
    >>> strip.format, strip.alt
    ('jpeg', 'Three black squares')
    """
    widths = [picture.shape[1] / picture.shape[0] for picture in pictures]
    size = (11, 11 / sum(widths) + 0.5)
    figure, axes = plt.subplots(1, len(pictures), figsize=size, width_ratios=widths, squeeze=False)
    for axis, picture, words in zip(axes[0], pictures, titles or [""] * len(pictures), strict=True):
        axis.imshow(picture)
        axis.set_axis_off()
        axis.set_title(words, fontsize=9)
    return photograph(figure, title)


def picture_grid(pictures: np.ndarray, columns: int = 12, title: str = "") -> "Image":
    """Many equal pictures, ``(N, S, S, 3)`` uint8, as one sheet without gaps, row by row."""
    sheet = image_grid(pictures, columns)
    figure, axis = plt.subplots(figsize=(11, 11 * sheet.shape[0] / sheet.shape[1] + 0.4))
    axis.imshow(sheet, interpolation="nearest" if pictures.shape[1] < 48 else None)
    axis.set_axis_off()
    return photograph(figure, title)


def line_picture(figure: Figure, title: str = "", colors: int = 64, keep_rare: bool = False) -> "Image":
    """A figure of many thin lines as a PNG of 64 colours: a quarter of the bytes, and looks the same.

    ``title`` is also the text for those who cannot see it, and is drawn where the figure has none yet.
    ``keep_rare`` keeps the colour of a thin line beside a heat map, at the cost of shades of the map.

    >>> figure, axis = plt.subplots(figsize=(2, 1))
    >>> picture = line_picture(figure, "Nothing yet")
    >>> picture.format, picture.alt
    ('png', 'Nothing yet')
    """
    if not figure.get_suptitle() and not any(axes.get_title() for axes in figure.axes):
        figure.suptitle(title)
    method = PIL.Image.Quantize.MAXCOVERAGE if keep_rare else PIL.Image.Quantize.MEDIANCUT
    with PIL.Image.open(io.BytesIO(file_of(figure, "png"))) as picture:
        few = picture.convert("RGB").quantize(colors, method)
    file = io.BytesIO()
    few.save(file, "png", optimize=True)
    return _shown(file.getvalue(), "png", title)


def photograph(figure: Figure, title: str, quality: int = 80) -> "Image":
    """A figure of photographs as JPEG, far smaller than PNG; a lower ``quality`` is good enough for noise."""
    figure.suptitle(title)
    data = file_of(figure, "jpeg", pil_kwargs={"quality": quality, "optimize": True})
    return _shown(data, "jpeg", title)


def _shown(data: bytes, kind: str, title: str) -> "Image":
    from IPython.display import Image

    return Image(data, format=kind, alt=title)


def file_of(figure: Figure, kind: str, **options) -> bytes:
    """The bytes of a picture file; the figure is closed."""
    file = io.BytesIO()
    figure.savefig(file, format=kind, **options)
    plt.close(figure)
    return file.getvalue()


def write_files(folder: str | Path, files: Mapping[str, bytes], force: bool = False) -> list[Path]:
    """Write files by name into a folder; nothing if one of them is there already, unless ``force``."""
    paths = [Path(folder, name) for name in files]
    for path in paths:
        refuse_existing(path, force)
    for path, data in zip(paths, files.values(), strict=True):
        with write_beside(path) as part:
            part.write_bytes(data)
    return paths


def hatch_bars(axis: Axes) -> None:
    """Lines of its own for each group of bars, so that groups stay apart in grey."""
    for bars, hatch in zip(axis.containers, ("", "//", "...", "xx"), strict=False):
        for bar in bars:
            bar.set(hatch=hatch, edgecolor="white", linewidth=0.5)


def line_styles() -> list[dict]:
    """Each colour with a dash of its own, so that lines stay apart in grey."""
    dashes = ("-", "--", ":", "-.")
    return [{"color": color, "linestyle": dash} for color, dash in zip(PALETTE, dashes, strict=False)]
