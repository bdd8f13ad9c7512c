"""What every training run has in common: an order of the data, a log, checkpoints, and going on after a kill.

Which rows step ``k`` sees, and its random numbers, are a function of the seed and of ``k``: nothing random
has a state to save, and a run that goes on computes, on a CPU, exactly what it would have computed.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from tqdm import tqdm

from affkit.checkpoints import read_tensors, write_tensors
from affkit.errors import UserError
from affkit.files import existing_file, write_beside

STATE, LOG = "training.safetensors", "log.csv"


class Trainer(Protocol):
    """What :func:`run` trains: networks and optimizers by name, and what one step does with them."""

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    shown: tuple[str, ...]  # the losses that the progress bar shows

    def step(self, number: int) -> Mapping[str, Tensor | float]:
        """Train one step; the values of the losses, by name, the same names each time."""

    def save(self, out: Path, steps: int) -> None:
        """Write the networks, after ``steps`` steps, into the folder ``out``."""


class RowStream:
    """An endless stream of the numbers 0 to n - 1, shuffled anew each time round, cut into batches.

    >>> stream = RowStream(n=5, batch_size=2, seed=0)
    >>> sorted(np.concatenate([stream.batch(k) for k in range(5)]).tolist())
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """

    def __init__(self, n: int, batch_size: int, seed: int):
        self.n, self.batch_size, self.seed = n, min(batch_size, n), seed
        self._rounds: dict[int, np.ndarray] = {}

    def batch(self, number: int) -> np.ndarray:
        """Batch ``number`` of the stream, ``(batch_size,)``; the same whenever it is asked for."""
        positions = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
        rounds, offsets = np.divmod(positions, self.n)
        return np.concatenate([self._round(r)[offsets[rounds == r]] for r in np.unique(rounds)])

    def _round(self, number: int) -> np.ndarray:
        if number not in self._rounds:
            if len(self._rounds) > 1:  # a batch needs two rounds at most
                self._rounds.pop(min(self._rounds))
            self._rounds[number] = np.random.default_rng([self.seed, number]).permutation(self.n)
        return self._rounds[number]


def step_generator(seed: int, number: int) -> torch.Generator:
    """Random numbers for step ``number`` of a run, the same on every machine."""
    state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def make_fabric(device: str = "auto", precision: str | None = None, shared: bool = False):
    """A Lightning Fabric, of one process or, if ``shared``, of those that ``torchrun`` started."""
    from lightning_fabric import Fabric  # takes seconds to import

    world = int(os.environ.get("WORLD_SIZE", 1))
    if world > 1 and not shared:
        raise UserError("torchrun", f"started {world} processes, and this work is for one", "leave it out")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    several = {"devices": 1}
    if world > 1:
        several = {"devices": here, "num_nodes": world // here, "strategy": "ddp"}
    try:
        fabric = Fabric(accelerator=device, precision=precision or "32-true", **several)
    except (RuntimeError, ValueError) as error:  # not on this machine; no such word
        asked = f"device {device}" if precision is None else f"device {device}, precision {precision}"
        raise UserError(asked, str(error).splitlines()[0], "try --device cpu") from error
    if world > 1:
        fabric.launch()
    return fabric


def first_process() -> bool:
    """Whether this process is the one that writes and talks; always, where there is only one."""
    return int(os.environ.get("RANK", 0)) == 0


def to_device(fabric, values):
    """Tensors, in dictionaries and tuples, to a device; a GPU need not be waited for (pinned memory)."""
    if fabric.device.type == "cuda":
        values = tree_map(lambda tensor: tensor.pin_memory(), values)
    return fabric.to_device(values)


def own_functions(*functions: Callable) -> dict[str, list[str]]:
    """What of a run is not the kit's, by name: a run with other functions is another run."""
    names = (f"{f.__module__}.{getattr(f, '__qualname__', type(f).__name__)}" for f in functions)
    own = [name for name in names if not name.startswith("affkit")]
    return {"own": own} if own else {}


def fingerprint(rows: np.ndarray) -> str:
    """A short text that tells one choice of rows from another."""
    return f"{rows.size}:{zlib.crc32(np.ascontiguousarray(rows, np.int64)):08x}"


def run(
    trainer: Trainer,
    out: Path,
    identity: Mapping,  # configuration and data, as JSON can hold it: only the same run can be resumed
    steps: int,
    resume: bool = False,
    save_every: int = 200,
    callback: Callable[[int, dict, Trainer], None] | None = None,  # after each save: steps, last values
    progress: bool = True,
    trouble: Callable[[pd.DataFrame], str | None] | None = None,  # of the log: why to end, before each save
) -> pd.DataFrame:
    """Train up to step ``steps``; save every ``save_every`` steps and at the end; the log, a row a step.

    :class:`UserError` if ``out`` holds a run already (without ``resume``) or another one (with it), or the
    run diverged: a loss or a weight is no longer a number, or there is ``trouble``. The last good checkpoint
    stays.
    """
    done, log = _start(trainer, out, identity, resume)
    values = []
    with tqdm(total=steps, initial=done, unit="step", disable=not (progress and first_process())) as bar:
        for number in range(done, steps):
            values.append(trainer.step(number))
            bar.update()
            if (number + 1) % save_every == 0 or number + 1 == steps:
                log = _extend_log(log, values, number + 1, out)
                if problem := _no_number(trainer) or (trouble and trouble(log)):
                    raise _diverged(out, f"{problem} at step {number + 1}")
                if first_process():
                    _save(trainer, out, identity, number + 1, log)
                values = []
                last = log.iloc[-1].drop("step").to_dict()
                bar.set_postfix({name: f"{last[name]:.3f}" for name in trainer.shown})
                if callback is not None and first_process():
                    callback(number + 1, last, trainer)
    return log


def _start(trainer: Trainer, out: Path, identity: Mapping, resume: bool) -> tuple[int, pd.DataFrame]:
    state = out / STATE
    if not state.exists():
        return 0, pd.DataFrame()
    if not resume:
        raise UserError(out, "holds a run already", "add --resume to go on with it, or choose another folder")
    tensors, header = read_tensors(state)
    was, old = json.loads(header.get("identity", "{}")), getattr(trainer, "renamed", {})
    was["config"] = {old.get(name, name): value for name, value in was.get("config", {}).items()}
    if was != json.loads(json.dumps(identity)):
        fix = "repeat its options, or choose another folder"
        raise UserError(out, "holds a run with another configuration or other data", fix)
    _restore(trainer, tensors)
    done = int(header["step"])
    try:
        log = pd.read_csv(existing_file(out / LOG))
        return done, log[log["step"] <= done]
    except (ValueError, KeyError) as error:  # no text, no table, or another one
        raise UserError(out / LOG, "is damaged", "choose another folder") from error


def _extend_log(log: pd.DataFrame, values: list[Mapping], step: int, out: Path) -> pd.DataFrame:
    """The log with the values of the steps up to ``step``, fetched from the device all at once."""
    names = list(values[0])
    columns = {name: torch.stack([torch.as_tensor(v[name]) for v in values]).float().cpu() for name in names}
    rows = {"step": np.arange(step - len(values) + 1, step + 1)} | columns
    new = pd.DataFrame(rows, dtype=np.float64).astype({"step": np.int64})
    bad = new["step"][~np.isfinite(new).all(axis=1)]
    if len(bad):
        raise _diverged(out, f"the loss is no longer a number at step {bad.iloc[0]}")
    return pd.concat([log, new], ignore_index=True)


def _no_number(trainer: Trainer) -> str | None:
    """Losses can still be numbers when the last update has left weights that are not."""
    tensors = [t for module in trainer.modules.values() for t in module.state_dict().values()]
    return None if all(t.isfinite().all() for t in tensors) else "a weight is no longer a number"


def _diverged(out: Path, problem: str) -> UserError:
    kept = "; the last good checkpoint is kept" if (out / STATE).exists() else ""
    return UserError(out, problem, f"lower the learning rate or try another seed{kept}")


def _save(trainer: Trainer, out: Path, identity: Mapping, step: int, log: pd.DataFrame) -> None:
    """The state comes last: what it does not speak of yet is written again by the run that goes on."""
    trainer.save(out, step)
    with write_beside(out / LOG) as part:
        log.to_csv(part, index=False, float_format="%.9g")  # all the digits of a float32
    header = {"identity": json.dumps(identity, sort_keys=True), "step": str(step)}
    write_tensors(out / STATE, _state(trainer), header)


def _state(trainer: Trainer) -> dict[str, Tensor]:
    """All weights, and for each weight what its optimizer remembers, by name."""
    tensors = {}
    for name, module in trainer.modules.items():
        tensors |= {f"{name}/{key}": tensor for key, tensor in module.state_dict().items()}
    for name, optimizer in trainer.optimizers.items():
        for index, memory in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{key}": tensor for key, tensor in memory.items()}
    return tensors


def _restore(trainer: Trainer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of :func:`_state`."""
    for name, module in trainer.modules.items():
        names = [name, *(old for old, new in getattr(trainer, "renamed", {}).items() if new == name)]
        own = {key.partition("/")[2]: t for key, t in tensors.items() if key.partition("/")[0] in names}
        module.load_state_dict(own)
    for name, optimizer in trainer.optimizers.items():
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        memories: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            if key.startswith(f"optimizer/{name}/"):
                index, what = key.split("/")[2:]
                if tensor.dim():  # in the same order in memory as its weight, which the file does not keep
                    tensor = torch.empty_like(weights[int(index)], requires_grad=False).copy_(tensor)
                memories.setdefault(int(index), {})[what] = tensor
        optimizer.load_state_dict(optimizer.state_dict() | {"state": memories})
