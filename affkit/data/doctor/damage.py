"""Faults planted into a small folder, to see how :mod:`affkit.data.doctor.report` names them."""

import shutil
from pathlib import Path

from affkit.errors import UserError
from affkit.files import write_beside

TRAIN = Path("annotations") / "VA_Estimation_Challenge" / "Train_Set"


def damaged_folder(corpus: str | Path, out: str | Path, names: tuple[str, str, str]) -> dict[str, str]:
    """Three clips of our drawn corpus with one fault each, of the kinds that annotations come with.

    Parameters
    ----------
    corpus:
        Folder with ``videos`` and annotations in the layout of ABAW.
    out:
        New folder; what an earlier call made there is made anew.
    names:
        Clips with valence and arousal.

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
    files = [corpus / TRAIN / f"{name}.txt" for name in names]
    for name, file in zip(names, files, strict=True):
        if not file.is_file():
            raise UserError(file, f"{name} has no labels of valence and arousal", "take another clip")
    shutil.rmtree(out, ignore_errors=True)
    for folder in (out / "videos", out / TRAIN, out / TRAIN.with_name("Validation_Set")):
        folder.mkdir(parents=True)
    for name in names:
        shutil.copy(corpus / "videos" / f"{name}.mp4", out / "videos")
    (head, *short), (_, *shifted), (_, *twice) = (
        file.read_text(encoding="utf-8").splitlines() for file in files
    )
    lines = {
        out / TRAIN / files[0].name: short[:-25],
        out / TRAIN / files[1].name: [shifted[0], *shifted],
        out / TRAIN / files[2].name: twice,
        out / TRAIN.with_name("Validation_Set") / files[2].name: twice,
    }
    for path, rows in lines.items():
        with write_beside(path) as part:
            part.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    done = ("the last 25 lines are missing", "one line too many, at the start", "in two sets")
    return dict(zip(names, done, strict=True))
