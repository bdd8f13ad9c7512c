"""A page about one video: traces, how long each expression lasts, rates of action units, faces at the peaks.

One file of HTML without scripts, which loads nothing; it is light or dark as the reader's browser is.
"""

import base64
from html import escape
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from affkit.faces.detectors import Box, crop_face
from affkit.files import write_beside
from affkit.labels import ACTION_UNIT_NAMES, ACTION_UNITS, ACTIVE, EXPRESSIONS, VA
from affkit.video.video import Video
from affkit_lab.figures.style import PALETTE, file_of, line_styles

THUMBNAIL = 128  # pixels
INK = "#010203"  # in the figures; on the page it is the colour of the text
COLORED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
STYLE = dict.fromkeys(COLORED, INK) | {"axes.spines.top": False, "axes.spines.right": False}
STYLE |= {"svg.hashsalt": "affkit", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 11}
HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width"><title>{0}</title><style>
body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
svg {{ width: 100%; height: auto }} img {{ display: block }}
figure {{ display: inline-block; vertical-align: top; margin: 0 .5rem 1rem 0 }}
</style></head><body><h1>{0}</h1><p>{1}</p>
"""


def write_summary(target: str | Path, video: str | Path | Video, predictions: pd.DataFrame) -> None:
    """Write the page about the predictions of :func:`~affkit.evaluation.predict.predict_video`."""
    groups = predictions.sort_values("frame").groupby("person")
    people = {person: own.set_index("frame") for person, own in groups}
    with Video.of(video) as clip:
        wanted = sorted((frame, person) for person, own in people.items() for frame in peaks(own))
        pictures = {}  # read forwards, so that no frame is decoded twice
        for frame, person in wanted:
            box = Box(*people[person].loc[frame, ["x", "y", "w", "h"]])
            face = cv2.cvtColor(crop_face(clip.frame(frame - 1), box, THUMBNAIL), cv2.COLOR_RGB2BGR)
            pictures[frame, person] = base64.b64encode(cv2.imencode(".jpg", face)[1]).decode()
        seconds, name = clip.seconds, escape(clip.path.name)
    words = f"frames: {len(seconds)}, seconds: {seconds[-1]:.1f}, people: {len(people)}"
    page = [HEAD.format(name, words)]
    for person, own in people.items():
        page.append(f"<h2>Person {person}</h2><p>In {len(own) / len(seconds):.0%} of the frames.</p>")
        page.append(_figure(own, seconds, f"Traces and rates of person {person}"))
        for frame, said in peaks(own).items():
            said = [*said, f"at {seconds[frame - 1]:.1f} s"]
            picture = f'<img alt="{", ".join(said)}" src="data:image/jpeg;base64,{pictures[frame, person]}">'
            page.append(f"<figure>{picture}<figcaption>{'<br>'.join(said)}</figcaption></figure>")
    with write_beside(target) as part:
        part.write_text("\n".join([*page, "</body></html>\n"]), encoding="utf-8")


def peaks(own: pd.DataFrame) -> dict[int, list[str]]:
    """Of one person, by frame: where valence and arousal are highest and lowest, and each expression that is
    ever the likeliest is most so; with what is said there.
    """
    found: dict[int, list[str]] = {}
    for name in VA if VA[0] in own else ():
        for frame in (own[name].idxmax(), own[name].idxmin()):
            found.setdefault(frame, []).append(f"{name} {own.loc[frame, name]:+.2f}")
    if EXPRESSIONS[0] in own:
        likeliest = own[list(EXPRESSIONS)].idxmax(axis=1)
        for name in (name for name in EXPRESSIONS if (likeliest == name).any()):
            frame = own.loc[likeliest == name, name].idxmax()
            found.setdefault(frame, []).append(f"{name} {own.loc[frame, name]:.0%}")
    return found


def rates(own: pd.DataFrame, seconds: np.ndarray) -> tuple[pd.Series, pd.DataFrame]:
    """Of one person: the fraction of the time that each expression is the likeliest; and for each action unit
    the ``fraction`` of the time that it is active, and how often a ``minute`` it begins to be.

    ``seconds`` ``(T,)`` is when each frame of the video is shown; the time is that in which the face is seen.
    """
    step = (seconds[-1] / (len(seconds) - 1) if len(seconds) > 1 else 0) or 1.0
    lasts = np.diff(seconds, append=seconds[-1] + step)[own.index - 1]  # (N,) of N faces
    expressions, units = pd.Series(dtype=float), pd.DataFrame()
    if EXPRESSIONS[0] in own:
        likeliest = own[list(EXPRESSIONS)].idxmax(axis=1).to_numpy()
        expressions = (
            pd.Series(lasts).groupby(likeliest).sum().reindex(EXPRESSIONS, fill_value=0) / lasts.sum()
        )
    if ACTION_UNITS[0] in own:
        active = own[list(ACTION_UNITS)] >= ACTIVE
        begins = active & ~active.shift(fill_value=False)
        units["fraction"] = active.mul(lasts, axis=0).sum() / lasts.sum()
        units["minute"] = begins.sum() * 60 / lasts.sum()
    return expressions, units


def _figure(own: pd.DataFrame, seconds: np.ndarray, title: str) -> str:
    """The figure of one person as SVG, to be set into a page."""
    expressions, units = rates(own, seconds)
    shown = {"trace": VA[0] in own, "expressions": len(expressions) > 0, "units": len(units) > 0}
    below = [name for name in ("expressions", "units") if shown[name]]
    rows = [["trace"] * max(len(below), 1)] * shown["trace"] + [below] * bool(below)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplot_mosaic(rows, figsize=(10, 3 * len(rows)), layout="constrained")
        if shown["trace"]:
            whole = own.reindex(np.arange(1, len(seconds) + 1))  # a gap where there is no face
            for name, line in zip(VA, line_styles(), strict=False):
                axes["trace"].plot(seconds, whole[name], label=name, **line)
            axes["trace"].set(ylim=(-1, 1), xlabel="seconds")
            axes["trace"].axhline(0, color=INK, linewidth=0.5)
            axes["trace"].legend(loc="upper right", ncols=2, frameon=False)
        if shown["expressions"]:
            bars = axes["expressions"].barh(expressions.index, expressions, color=PALETTE[2])
            axes["expressions"].bar_label(bars, [f"{value:.0%}" for value in expressions], padding=3)
            axes["expressions"].set_title("Expression: fraction of the time")
        if shown["units"]:
            names = [f"{unit} {ACTION_UNIT_NAMES[unit]}" for unit in units.index]
            bars = axes["units"].barh(names, units["fraction"], color=PALETTE[4])
            words = [f"{row.fraction:.0%}, {row.minute:.1f} a minute" for row in units.itertuples()]
            axes["units"].bar_label(bars, words, padding=3)
            axes["units"].set_title("Action unit: fraction of the time, onsets", loc="right")
        for name in below:
            axes[name].set(xlim=(0, 1.3 if name == "expressions" else 1.9), xticks=(0, 0.5, 1))
            axes[name].invert_yaxis()
        svg = file_of(figure, "svg", transparent=True, metadata={"Date": None}).decode()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
