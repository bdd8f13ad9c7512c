"""The two training runs: a GAN (Section IV.C.1), and the multi-task network (IV.C.2).

A run is a folder: the networks as ``*.safetensors``, ``log.csv`` with a row a step, for the GAN a sheet of
faces at every save, and ``training.safetensors``, from which the run goes on after a kill.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

import pandas as pd

from affkit.errors import UserError
from affkit.loop import fingerprint, make_fabric, run
from affkit.store import Store
from affkit.train_gan import GanConfig, GanTrainer
from affkit.train_multitask import MtlConfig, MtlTrainer
from affkit_lab.backbones.cuda_graph_step import RecordedGanTrainer, can_record
from affkit_lab.backbones.feature_cache import feature_key
from affkit_lab.backbones.vgg_weights import Loaded

__all__ = ["GanConfig", "GanRun", "MtlConfig", "MtlRun", "train_gan", "train_mtl"]


@dataclass(frozen=True)
class GanRun:
    """A finished run: its folder, the two checkpoints, and the log, a row a step."""

    out: Path
    generator: Path
    discriminator: Path
    log: pd.DataFrame


@dataclass(frozen=True)
class MtlRun:
    """A finished run: its folder, the checkpoint, the log, a row a step, and what VGG-Face gave, if asked."""

    out: Path
    checkpoint: Path
    log: pd.DataFrame
    loaded: Loaded | None = None


def train_gan(
    store: Store,
    out: str | Path,
    config: GanConfig | None = None,
    steps: int = 1000,
    resume: bool = False,
    device: str = "auto",
    precision: str | None = None,
    callback: Callable[[int, dict, GanTrainer], None] | None = None,
    progress: bool = True,
    rows: Sequence[int] | None = None,
    save_every: int = 200,
) -> GanRun:
    """Train generator and discriminator on the faces of a store, labelled or not.

    Parameters
    ----------
    store:
        Faces at least as large as the configuration draws; larger ones are averaged down.
    out:
        Folder of the run.
    config:
        The paper's configuration 1 by default; see :meth:`GanConfig.recipe`.
    steps:
        Steps in all, those before a ``resume`` included. One step is ``discriminator_steps`` updates of one
        and ``generator_steps`` of the other network.
    resume:
        Go on from the last save. On a CPU the weights end the same, bit by bit, as without the interruption.
    device, precision:
        As Lightning Fabric names them: ``auto``, ``cpu``, ``cuda``; ``32-true``, ``bf16-mixed``.
    callback:
        ``callback(steps_done, losses, trainer)`` after each save; ``trainer.pictures(n)`` are faces to show.
    progress:
        Show a progress bar with the time left.
    rows:
        The rows of the store to train on; all by default.
    save_every:
        Steps from one save to the next.

    Raises
    ------
    UserError
        If the store does not fit, ``out`` holds another run, a loss or weight is no longer a number, or
        ``config.stop_at_collapse`` and the GAN has collapsed.
    """
    config, out = config or GanConfig(), Path(out)
    fabric = make_fabric(device, precision)
    recorded = precision in (None, "32-true", "bf16-mixed") and can_record(fabric, store, config)
    trainer = (RecordedGanTrainer if recorded else GanTrainer)(fabric, store, rows, config)
    identity = {"config": asdict(config), "rows": fingerprint(trainer.faces.rows)}
    log = run(trainer, out, identity, steps, resume, save_every, callback, progress, trainer.trouble)
    return GanRun(out, out / "generator.safetensors", out / "discriminator.safetensors", log)


def train_mtl(
    store: Store,
    out: str | Path,
    config: MtlConfig | None = None,
    num_epochs: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    device: str = "auto",
    precision: str | None = None,
    callback: Callable[[int, dict, MtlTrainer], None] | None = None,
    progress: bool = True,
    rows: Sequence[int] | None = None,
    save_every: int = 200,
    weights: str | Path | None = None,
    cache: str | Path | None = None,
    vgg_weights: str | Path | None = None,
) -> MtlRun:
    """Train VGGFACE-GRU-attention on sequences of a store with labels.

    Give ``num_epochs``, how often each sequence is seen, or ``steps``, a number of batches. ``weights`` is a
    checkpoint to take the convolutional half from, which is what makes ``config.frozen`` useful; its features
    are kept in the folder ``cache``, by default in that of the store. ``vgg_weights`` is a published file,
    see ``load_vgg_face``; what came of it is in the run's ``loaded``. All else
    is as in :func:`train_gan`. The processes that ``torchrun`` starts share each batch.

    Raises
    ------
    UserError
        If nothing in the store is labelled for what is to be learned, or as in :func:`train_gan`.
    """
    if (num_epochs is None) == (steps is None):
        raise UserError("training", "needs num_epochs or steps, one of the two", "give --steps N")
    config, out = config or MtlConfig(), Path(out)
    given = (None if path is None else Path(path) for path in (weights, cache, vgg_weights))
    trainer = MtlTrainer(make_fabric(device, precision, shared=True), store, rows, config, *given)
    if steps is None:
        steps = ceil(num_epochs * len(trainer.sequences) / trainer.stream.batch_size)
    identity = {"config": asdict(config), "rows": fingerprint(trainer.sequences.rows)}
    if config.frozen:  # weights that do not come from the run itself
        identity["features"] = feature_key(trainer.net.cnn, store)
    log = run(trainer, out, identity, steps, resume, save_every, callback, progress)
    return MtlRun(out, out / "affwildnet.safetensors", log, trainer.loaded)
