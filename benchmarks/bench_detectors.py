"""Which detector finds which faces: drawn ones, whose true boxes are known, and real ones of scikit-image.

    python benchmarks/bench_detectors.py [--quick] [--people N] [--json FILE] [DETECTOR ...]

prints the table of docs/detectors.md; mtcnn and ffld2 are measured where they are installed (see there).
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from skimage import data
from tqdm import tqdm

from affkit.errors import UserError
from affkit.faces.detectors import Box, Detector
from affkit.faces.extract import make_detector
from affkit.labels import EXPRESSIONS
from affkit.video.video import Video
from affkit_render.affect import Performance, perform, sample_style
from affkit_render.clip import place_actor, render_clip, sample_scene
from affkit_render.head import Head
from affkit_render.identity import sample_identity

ROOT = Path(__file__).parent.parent
NAMES = "blazeface", "haar", "mtcnn", "ffld2"
FOUND = 0.4  # intersection over union from which a box counts as the face
FRONTAL = np.radians(25)  # largest yaw and pitch
COVERED = 0.05  # fraction of a face from which it counts as hidden
SIZES = (320, 240), (480, 360), (640, 480)
ASTRONAUT = Box(175, 65, 100, 110)  # brows to chin, by eye


@dataclass(frozen=True)
class Picture:
    """A picture ``(H, W, 3)`` uint8 RGB and the faces in it."""

    kind: str
    image: np.ndarray
    faces: list[Box]


def rows(quick: bool = False) -> list[dict]:
    """What `make bench` shows: the targets that the drawn faces have to reach."""
    results = compare(NAMES, quick).set_index(["detector", "faces"])
    table = []
    for name in results.index.unique("detector").intersection(["blazeface", "haar", "ffld2"]):
        frontal = results.loc[name, "drawn, frontal"]
        table.append(_row(f"{name} finds frontal drawn faces", frontal["recall"], "of 1", ">= 0.98"))
        if name == "ffld2":
            table.append(_row("ffld2's median score of them", frontal["score"], "", ">= 3.5"))
    return table


def _row(name: str, value: float, unit: str, target: str) -> dict:
    nothing = {"plain": "", "plain_value": None, "ratio": None}
    return {"name": name, **nothing, "ours": float(value), "unit": unit, "target": target, "better": "higher"}


def compare(names: tuple[str, ...], quick: bool = False, people: int = 60) -> pd.DataFrame:
    """A row for each detector that is there and each kind of picture; ``people`` faces are drawn frontal."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # MTCNN's networks are tiny
    pictures = [*drawn(6 if quick else people), *clips(60 if quick else 15), *real(20 if quick else 100)]
    results = []
    for name in names:
        try:
            detector = make_detector(name)
        except UserError as error:
            tqdm.write(f"left out: {error}")
            continue
        for shape in sorted({picture.image.shape for picture in pictures}):
            detector.detect(np.zeros(shape, np.uint8))  # FFLD2 plans its transforms for each size
        seen = [look(detector, picture) for picture in tqdm(pictures, desc=name, delay=2)]
        for kind in dict.fromkeys(picture.kind for picture in pictures):
            chosen = [one for one, picture in zip(seen, pictures, strict=True) if picture.kind == kind]
            results.append({"detector": name, "faces": kind, **summary(chosen)})
    torch.set_num_threads(threads)
    return pd.DataFrame(results)


@dataclass(frozen=True)
class Look:
    """What a detector found in one picture: pairs of true face and box, with ``None`` for a missed face."""

    pairs: list[tuple[Box, Box | None]]
    false: int
    seconds: float


def look(detector: Detector, picture: Picture) -> Look:
    """Detect, and give each face the box that is most like it."""
    start = time.perf_counter()
    found = detector.detect(picture.image)
    seconds = time.perf_counter() - start
    pairs: list[tuple[Box, Box | None]] = []
    for face in picture.faces:
        best = max(found, key=face.iou, default=None)
        if best is not None and face.iou(best) >= FOUND:
            found.remove(best)
            pairs.append((face, best))
        else:
            pairs.append((face, None))
    return Look(pairs, len(found), seconds)


def summary(looks: list[Look]) -> dict:
    """The numbers of one row of the table; NaN where there is no face to find.

    ``right``, ``down``, ``wider`` and ``taller`` compare the median true box with the box found, as fractions
    of the latter: 0 and 1 for a detector that frames faces as the corpus does.
    """
    pairs = [pair for one in looks for pair in one.pairs]
    hits = [(face, box) for face, box in pairs if box is not None]
    row = {"number": len(pairs), "pictures": len(looks)}
    row["recall"] = len(hits) / len(pairs) if pairs else np.nan
    row["false"] = sum(one.false for one in looks) / len(looks)
    row["iou"] = float(np.median([face.iou(box) for face, box in hits])) if hits else np.nan
    row["score"] = float(np.median([box.score for _, box in hits])) if hits else np.nan
    row["ms"] = float(np.median([one.seconds for one in looks])) * 1000
    frames = [
        [
            (face.center[0] - box.center[0]) / box.w,
            (face.center[1] - box.center[1]) / box.h,
            face.w / box.w,
            face.h / box.h,
        ]
        for face, box in hits
    ]
    frame = np.median(frames, axis=0) if hits else [np.nan] * 4
    return row | dict(zip(("right", "down", "wider", "taller"), map(float, frame), strict=True))


# ---- the pictures ----


def drawn(number: int) -> Iterator[Picture]:
    """``number`` people facing the camera, and half as many each turned, in the dark and partly hidden."""
    kinds = ["frontal"] * number + ["turned", "dark", "hidden"] * (number // 2)
    for seed, kind in enumerate(tqdm(kinds, desc="draw", delay=2)):
        yield still(seed, kind)


def still(seed: int, kind: str) -> Picture:
    """One person at the height of an expression, filmed as for the corpus."""
    rng = np.random.default_rng([seed, 6])
    times = np.arange(60) / 30
    emotion = str(rng.choice(EXPRESSIONS))
    performance = moment(perform(times, rng, sample_style(rng), (emotion,)), 30)
    angles = {"yaw": rng.uniform(-FRONTAL, FRONTAL, 1), "pitch": rng.normal(0, 0.1, 1)}
    if kind == "turned":
        angles["yaw"] = rng.choice((-1, 1), 1) * np.radians(rng.uniform(30, 50, 1))
    width, height = SIZES[seed % len(SIZES)]
    occluder = str(rng.choice(["hand", "microphone"])) if kind == "hidden" else None
    scene = sample_scene(rng, performance.times, width, height, occluder=occluder)
    if kind == "dark":
        camera = replace(scene.camera, exposure=scene.camera.exposure * rng.uniform(0.06, 0.15))
        scene = replace(scene, camera=camera)
    face = rng.uniform(100, 0.6 * height)
    head = Head(sample_identity(1000 + seed))
    actor = place_actor(rng, head, replace(performance, **angles), scene, face)
    ((image, sight),) = render_clip([actor], scene, seed)
    hidden = "a little hidden" if 0 < sight.covered[0] < COVERED else kind
    return Picture(f"drawn, {hidden}", image, [Box(*sight.boxes[0].tolist())])


def moment(performance: Performance, frame: int) -> Performance:
    """The one frame of a performance as a performance."""

    def cut(value):
        if isinstance(value, np.ndarray):
            return value[frame : frame + 1]
        return {name: cut(values) for name, values in value.items()}

    return Performance(**{field.name: cut(getattr(performance, field.name)) for field in fields(performance)})


def clips(every: int) -> Iterator[Picture]:
    """Each ``every``-th frame of the drawn clips that come with the kit, with all faces to be seen in it."""
    for folder in ("corpus", "clips"):
        for video in sorted((ROOT / "data_samples" / folder / "videos").glob("*")):
            tables = sorted((video.parent.parent / "truth").glob(f"{video.stem}*.csv"))
            truth = [pd.read_csv(table) for table in tables]
            for number, image in enumerate(Video(video).frames()):
                if number % every == every // 2:
                    seen = [table.iloc[number] for table in truth if table["visible"][number]]
                    boxes = [Box(row.x, row.y, row.width, row.height) for row in seen]
                    yield Picture(f"films in data_samples/{folder}", image, boxes)


def real(number: int) -> Iterator[Picture]:
    """A photograph in four sizes; faces and other things from the wild, 25 pixels wide, enlarged."""
    for scale in (0.75, 1, 1.5, 2):
        image = cv2.resize(data.astronaut(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield Picture("real, astronaut", image, [ASTRONAUT.moved(0, 0, scale)])
    subset = data.lfw_subset()  # 100 faces, then 100 that are none
    for kind, chosen in (("a face", subset[:number]), ("no face", subset[100 : 100 + number])):
        for values in chosen:
            grey = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
            grey = cv2.resize(grey, (150, 150), interpolation=cv2.INTER_CUBIC)
            image = cv2.copyMakeBorder(grey, 60, 60, 60, 60, cv2.BORDER_REPLICATE)[:, :, None].repeat(3, 2)
            yield Picture(f"real, {kind}", image, [Box(75, 75, 120, 120)] if kind == "a face" else [])


# ---- the table ----


def markdown(results: pd.DataFrame) -> str:
    """The table for people."""
    lines = [
        "| faces | detector | number | found | false a picture | median IoU | median score | ms a picture |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results.sort_values("faces", kind="stable").itertuples():
        found = f"{row.recall:.1%}" if row.number else ""
        iou, score = (f"{value:.2f}" if row.number else "" for value in (row.iou, row.score))
        counts = f"{row.number or row.pictures} | {found} | {row.false:.3f}"
        lines.append(f"| {row.faces} | {row.detector} | {counts} | {iou} | {score} | {row.ms:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare face detectors.")
    parser.add_argument("names", nargs="*", default=NAMES, help="haar, mtcnn, ffld2, yunet:FILE")
    parser.add_argument("--quick", action="store_true", help="fewer pictures")
    parser.add_argument("--people", type=int, default=60, help="drawn people who face the camera")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    results = compare(tuple(options.names), options.quick, options.people)
    print(markdown(results))
    if options.json:
        options.json.write_text(json.dumps(json.loads(results.to_json(orient="records")), indent=1) + "\n")


if __name__ == "__main__":
    main()
