"""Faults planted into a small folder, to see how :mod:`affkit_studio.doctor.report` names them."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2

from affkit.errors import UserError
from affkit.files import write_beside
from affkit.video.video import read_frames

TRAIN = Path("annotations") / "VA_Estimation_Challenge" / "Train_Set"
CROPS = "cropped_aligned"
DONE = (
    "the last 25 lines are missing",
    "one line too many, at the start",
    "in two sets",
    "its crops count from 0",
)
CROP_SIZE = 32


def damaged_folder(corpus: str | Path, out: str | Path, names: Sequence[str]) -> dict[str, str]:
    """Four clips of our drawn corpus with one fault each, of the kinds that annotations come with.

    Parameters
    ----------
    corpus:
        Folder with ``videos`` and annotations in the layout of ABAW.
    out:
        New folder with videos, annotations and numbered pictures as Aff-Wild2 has them; what an earlier call
        made there is made anew. The pictures are whole frames made small: only their numbers matter here.
    names:
        Four clips with valence and arousal.

    Returns
    -------
    dict
        Name of the clip to what was done to it.

    Raises
    ------
    UserError
        If a clip has no such labels.
    """
    corpus, out = Path(corpus), Path(out)
    done = dict(zip(names, DONE, strict=True))
    files = {name: corpus / TRAIN / f"{name}.txt" for name in names}
    for name, file in files.items():
        if not file.is_file():
            raise UserError(file, f"{name} has no labels of valence and arousal", "take another clip")
    shutil.rmtree(out, ignore_errors=True)
    validation = TRAIN.with_name("Validation_Set")
    for folder in (out / "videos", out / TRAIN, out / validation):
        folder.mkdir(parents=True)
    for name in names:
        video = shutil.copy(corpus / "videos" / f"{name}.mp4", out / "videos")
        _write_crops(Path(video), out / CROPS / name, first=0 if name == names[3] else 1)
    short, longer, twice, zero = names
    texts = {name: file.read_text(encoding="utf-8").splitlines() for name, file in files.items()}
    lines = {
        TRAIN / files[short].name: texts[short][:-25],
        TRAIN / files[longer].name: [*texts[longer][:2], *texts[longer][1:]],
        TRAIN / files[twice].name: texts[twice],
        validation / files[twice].name: texts[twice],
        TRAIN / files[zero].name: texts[zero],
    }
    for path, rows in lines.items():
        with write_beside(out / path) as part:
            part.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return done


def _write_crops(video: Path, folder: Path, first: int) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(read_frames(video), start=first):
        small = cv2.resize(frame, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), small[..., ::-1])
