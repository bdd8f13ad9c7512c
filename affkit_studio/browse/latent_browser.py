"""The latent browser as a page in the notebook; see ``latent_desk`` for what answers it."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from affkit.checkpoints import load_checkpoint, model_key
from affkit.corpus.corpus import Corpus, part_names
from affkit.errors import UserError
from affkit.faces.pool import pool_store
from affkit.store import Store
from affkit_lab.gan_evaluation.memorization import TrainingFaces
from affkit_studio.browse.explore import Explorer
from affkit_studio.browse.favourites import Favourites
from affkit_studio.browse.latent_desk import LatentDesk
from affkit_studio.browse.latent_work import Extras
from affkit_studio.page_widget import PageWidget, one_module

_PARTS = ("../page.js", "latent_draw.js", "latent_layout.js", "latent_panels.js", "latent.js")
PAGE = [Path(__file__).parent / name for name in _PARTS]
"""The parts of the page, in the order in which they are put together."""


class LatentBrowser(PageWidget):
    """The page of a :class:`LatentDesk`; made by :func:`latent_browser`."""

    _esm = one_module(PAGE)
    _css = Path(__file__).with_name("latent.css")


def latent_browser(
    checkpoint: str | Path,
    predictors: Sequence[str | Path] = (),
    directions: str | Path | None = None,
    favourites: str | Path = "favourites.json",
    data: str | Path | None = None,
    features: str | Path | None = None,
    labels: str | Path | None = None,
    seed: int = 0,
) -> LatentBrowser:
    """Browse the faces of a generator; press ``?`` in the page for its keys.

    ``checkpoint`` is the ``generator.safetensors`` of a GAN; predictors and directions are those of
    :meth:`~affkit_studio.browse.explore.Explorer.open`. Without predictors, ``cnn.safetensors`` and
    ``affwildnet.safetensors`` are taken if they are beside the generator or one folder up; ``features``, a
    network that judges how like two faces are, for the nearest faces and for photographs, is looked for
    likewise. ``favourites`` is the file of faces to come back to; films are written beside it. ``data`` are
    the faces the generator was trained on, a store or a folder of a pool: the nearest of them are shown.
    ``labels`` is a corpus: the valence and arousal of its clips can be played.
    """
    return LatentBrowser(
        open_desk(checkpoint, predictors, directions, favourites, data, features, labels, seed)
    )


def open_desk(
    checkpoint: str | Path,
    predictors: Sequence[str | Path] = (),
    directions: str | Path | None = None,
    favourites: str | Path = "favourites.json",
    data: str | Path | None = None,
    features: str | Path | None = None,
    labels: str | Path | None = None,
    seed: int = 0,
    progress: bool = False,
) -> LatentDesk:
    """What answers the page; the parameters are those of :func:`latent_browser`."""
    # What can be wrong is looked at before directions are learned, which takes a while.
    generator, _ = load_checkpoint(checkpoint, "generator")
    path = Path(favourites)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = Favourites(path, model_key(generator))
    extras = Extras()
    if features := features or next(iter(companions(checkpoint, "features")), None):
        extras.feature_net, _ = load_checkpoint(features, "featurenet")
    if data is not None:
        store, net = open_faces(data, generator.config.image_size), extras.feature_net
        if net is None:
            raise UserError(data, "needs a network that says how like faces are", "give --features FILE")
        extras.training = cache(lambda: TrainingFaces(store, net))  # later: it takes some seconds
    if labels is not None:
        corpus = Corpus.open(labels)
        extras.clips = {name: corpus.labels[name] for name in part_names(corpus, "va")}
    predictors = predictors or companions(checkpoint, "cnn", "affwildnet")
    return LatentDesk(Explorer.open(checkpoint, predictors, directions, seed, progress), kept, extras)


def companions(checkpoint: str | Path, *names: str) -> list[Path]:
    """Checkpoints of these names beside a generator, or one folder up: those that are there."""
    folder = Path(checkpoint).absolute().parent
    places = [[folder / f"{name}.safetensors", folder.parent / f"{name}.safetensors"] for name in names]
    return [path for both in places if (path := next((one for one in both if one.is_file()), None))]


def open_faces(path: str | Path, size: int) -> Store:
    """A store, or the faces of a pool with ``size`` pixels a side."""
    if any(Path(path).glob("faces_*.webp")):
        return pool_store(path, size)
    return Store.open(path)
