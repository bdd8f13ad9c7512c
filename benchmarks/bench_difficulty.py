"""Is the drawn corpus hard enough, and hard for the right reason?

All scores are CCC over frames of people who were not trained on, valence and arousal, against the truth:

- from the true action units a boosted tree must stay clearly below 0.95: faces do not give feelings away;
- from 32 x 32 pixels a linear model must stay clearly below a small net: there is something to see;
- from the background, from who somebody is, and from the time nothing may be read.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from affkit.corpus.corpus import Corpus
from affkit.faces.detectors import Box, crop_face
from affkit.gan import Discriminator, GanNetConfig
from affkit.losses import va_loss
from affkit.metrics import StreamingCCC
from affkit.store import to_unit_range
from affkit.video.video import Video
from affkit_render.affect import SHOWN_UNITS

CORPUS = Path(__file__).parent.parent / "data_samples" / "corpus"
SIZE, FOLDS, STEPS = 32, 5, 700


def rows(quick: bool = False) -> list[dict]:
    """See ``bench.py``."""
    frames = read_corpus(every=10 if quick else 5)
    targets = frames.table[["valence", "arousal"]].to_numpy()
    people = frames.table["subject"].to_numpy()
    found = []

    def add(name, plain, plain_value, ours, target, better="lower"):
        ratio = ours / plain_value if plain_value else None
        found.append(
            dict(name=name, plain=plain, plain_value=plain_value, ours=ours, unit="CCC", ratio=ratio)
            | dict(target=target, better=better)
        )

    units = held_out(
        HistGradientBoostingRegressor, frames.table[list(SHOWN_UNITS)].to_numpy(), targets, people
    )
    linear = held_out(linear_model, frames.crops.reshape(len(targets), -1) / 255, targets, people)
    net = held_out_net(frames.crops, targets, people, steps=STEPS // (4 if quick else 1))
    for k, what in enumerate(("valence", "arousal")):
        add(f"{what} from the true action units", "", None, units[k], "<= 0.9")
        add(f"{what} from pixels: small net", "linear", linear[k], net[k], ">= 1.3x", "higher")
    for name, features in {
        "background": frames.background,
        "person": pd.get_dummies(frames.attributes).to_numpy(float),
        "time": frames.table[["time", "share_of_clip"]].to_numpy(),
    }.items():
        scores = held_out(HistGradientBoostingRegressor, features, targets, people)
        for k, what in enumerate(("valence", "arousal")):
            add(f"{what} from the {name}", "", None, abs(scores[k]), "<= 0.15")
    return found


@dataclass(frozen=True)
class Frames:
    """Some frames of the corpus: ``table`` with the truth, ``crops``, ``background`` and ``attributes``."""

    table: pd.DataFrame
    crops: np.ndarray
    background: np.ndarray
    attributes: pd.DataFrame


def read_corpus(root: Path = CORPUS, every: int = 5) -> Frames:
    """Every ``every``-th frame of all clips with one person in them, cut out at the true boxes."""
    corpus = Corpus.open(root)
    tables, crops, backgrounds = [], [], []
    for name in (name for name in corpus.videos if not name.endswith(("_left", "_right"))):
        truth = pd.read_csv(root / "truth" / f"{name}.csv").assign(
            subject=corpus.subjects[name], name=name, share_of_clip=lambda t: t["frame"] / len(t)
        )
        chosen = truth[(truth["frame"] % every == 0) & (truth["visible"] == 1)]
        wanted = set(chosen["frame"] - 1)
        pictures = [f for i, f in enumerate(Video(corpus.video_path(name)).frames()) if i in wanted]
        for picture, (_, row) in zip(pictures, chosen.iterrows(), strict=True):
            crops.append(crop_face(picture, Box(row.x, row.y, row.width, row.height), SIZE))
            backgrounds.append(edges(picture))
        tables.append(chosen)
    table = pd.concat(tables, ignore_index=True)
    attributes = corpus.attributes.loc[
        table["name"], ["gender", "age", "skin_tone", "hair", "beard", "glasses"]
    ]
    return Frames(table, np.stack(crops), np.stack(backgrounds), attributes)


def edges(picture: np.ndarray) -> np.ndarray:
    """Mean colours of 4 x 2 fields at the left and the right edge, where nobody is: ``(48,)``."""
    width = picture.shape[1] // 8
    sides = [picture[:, :width], picture[:, -width:]]
    fields = [np.array_split(half, 4) for side in sides for half in np.array_split(side, 2, axis=1)]
    return np.array([field.mean((0, 1)) for column in fields for field in column]).ravel()


def linear_model():
    """Ridge regression on the principal components of the pixels, its penalty chosen by itself."""
    return make_pipeline(StandardScaler(), PCA(200, random_state=0), RidgeCV(np.logspace(0, 6, 13)))


def held_out(model, features: np.ndarray, targets: np.ndarray, people: np.ndarray) -> tuple[float, float]:
    """CCC of valence and of arousal, each frame predicted by a model that never saw its person."""
    predicted = np.zeros_like(targets)
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(features, groups=people):
        for k in range(2):
            predicted[test, k] = model().fit(features[train], targets[train, k]).predict(features[test])
    return scores(predicted, targets)


def held_out_net(
    crops: np.ndarray, targets: np.ndarray, people: np.ndarray, steps: int
) -> tuple[float, float]:
    """The same for the discriminator of configuration 1 at half its width, trained on labels alone."""
    predicted = np.zeros_like(targets)
    for fold, (train, test) in enumerate(
        GroupKFold(FOLDS, shuffle=True, random_state=0).split(crops, groups=people)
    ):
        torch.manual_seed(fold)
        net = Discriminator(GanNetConfig("1", width=0.5, targets="va"))
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
            rows = train[torch.randint(len(train), (128,)).numpy()]
            images = to_unit_range(crops[rows])  # (B, 3, 32, 32)
            images = images.flip(-1) if step % 2 else images  # a mirrored face feels the same
            loss = va_loss(net(images).va, torch.tensor(targets[rows], dtype=torch.float32), kind="ccc")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            predicted[test] = torch.cat(
                [net(to_unit_range(part)).va for part in np.array_split(crops[test], 20)]
            )
    return scores(predicted, targets)


def scores(predicted: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """CCC of each column."""
    found = []
    for k in range(2):
        metric = StreamingCCC()
        metric.update(predicted[:, k], targets[:, k])
        found.append(metric.compute())
    return tuple(found)
