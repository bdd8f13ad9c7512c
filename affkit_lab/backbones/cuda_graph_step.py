"""The GAN's step on a GPU: the faces stay there, and a step is recorded once and played from then on.

A step is hundreds of small programs for the GPU, and Python takes longer to ask for each than the GPU to run
it. A CUDA graph is the recording of all of them, which a single call starts. For that, nothing in the step
may wait for the GPU or look at a number of it, every input must be at the same place in memory each time, and
what changes from step to step must be an input: the rows, the flips, z, and the decay of the EMA.
"""

import numpy as np
import torch
from torch import Tensor

from affkit.augment import mirrored
from affkit.loop import step_generator
from affkit.store import Store, made_smaller, unit_range
from affkit.train_gan import Batch, GanConfig, GanTrainer

LEAD_IN = 12  # steps before the recording: libraries choose their programs, Adam makes its memories
AHEAD = 64  # steps whose inputs are sent to the device at once


def gan_on_cuda(fabric, store: Store, config: GanConfig) -> type[GanTrainer]:
    """The trainer for a GPU: the recorded one if its inputs are all that changes in a step, and faces fit.

    What :func:`~affkit.train_gan.train_gan` finds in the entry-point group ``affkit.extensions``.
    """
    changing = config.augment or config.w_r or config.spectral_norm
    room = torch.cuda.mem_get_info(fabric.device)[0] / 2
    fits = not changing and store.images[:1].nbytes * len(store) < room
    return RecordedGanTrainer if fits else GanTrainer


class RecordedGanTrainer(GanTrainer):
    """A :class:`~affkit.train_gan.GanTrainer` with the same faces and random numbers in each step.

    On a CPU it computes the same from the same inputs, without a recording.
    """

    def __init__(self, fabric, store: Store, rows, config: GanConfig, *own):
        super().__init__(fabric, store, rows, config, *own)
        self._records = fabric.device.type == "cuda"
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["capturable"] = self._records
        parts = np.array_split(self.faces.rows, -(-len(self.faces) // 4096))
        pixels = [
            torch.from_numpy(made_smaller(store.batch(part), self.size)).to(fabric.device) for part in parts
        ]
        self._images = torch.cat(pixels)  # (N, S, S, 3) uint8
        self._labels = {name: values.to(fabric.device) for name, values in self.faces.labels.items()}
        self._sent: tuple[int, list[Tensor]] = (-1, [])
        self._inputs: list[Tensor] = []
        self._steps, self._graph = 0, None

    def step(self, number: int) -> dict[str, Tensor | float]:
        """As in the class above, but after :data:`LEAD_IN` steps what was recorded is played."""
        self._send(number)
        self._steps += 1
        if not self._records:
            return super().step(number)
        if self._steps <= LEAD_IN:
            side = torch.cuda.Stream()  # where a recording happens too
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                values = super().step(number)
            torch.cuda.current_stream().wait_stream(side)
            return values
        if self._graph is None:
            torch.cuda.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                values = super().step(number)
                self._names = [name for name in values if name != "w_r"]
                self._values = torch.stack([values[name].float() for name in self._names])
        self._graph.replay()
        return dict(zip(self._names, self._values.clone().unbind(), strict=True)) | {"w_r": 0.0}

    def _send(self, number: int) -> None:
        """Put the inputs of a step where the recording reads them."""
        first, inputs = self._sent
        start = number // AHEAD * AHEAD
        if first != start:
            steps = [self._inputs_of(k) for k in range(start, start + AHEAD)]
            inputs = [torch.stack(own).to(self.fabric.device) for own in zip(*steps, strict=True)]
            self._sent = start, inputs
            self._inputs = self._inputs or [torch.empty_like(own[0]) for own in inputs]
        for here, sent in zip(self._inputs, inputs, strict=True):
            here.copy_(sent[number - start])

    def _inputs_of(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows and flips ``(n, B)``, z ``(n, B, 100)`` of the n batches of a step, and a decay an update."""
        config, self.random = self.config, step_generator(self.config.seed, number)
        first = number * config.batches
        rows = [torch.from_numpy(self.stream.batch(first + i)) for i in range(config.batches)]
        flips, z = zip(*(self.flips_and_z(len(own)) for own in rows), strict=True)
        updates = range(number * config.generator_steps, (number + 1) * config.generator_steps)
        decays = torch.tensor([super(RecordedGanTrainer, self).ema_decay(update) for update in updates])
        return torch.stack(rows), torch.stack(flips), torch.stack(z), decays

    def batch(self, number: int) -> Batch:
        rows, flips, z, _ = self._inputs
        i = number % len(rows)
        images = self._images[rows[i]].permute(0, 3, 1, 2)  # (B, 3, S, S)
        images = mirrored(unit_range(images), flips[i])  # (B, 3, S, S)
        return Batch(images, {name: values[rows[i]] for name, values in self._labels.items()}, z[i])

    def ema_decay(self, update: int) -> Tensor:
        return self._inputs[3][update % self.config.generator_steps]
