"""The network of Section IV.B and Figure 5: VGG-Face, two GRU layers, attention, nine outputs.

A face is described by a convolutional network, the frames of a clip by a recurrent one on top, and attention
mixes the recurrent network's outputs of the last 32 frames. Valence and arousal are linear outputs, the
seven expressions a softmax.

Options: attention is additive, or a scaled dot product; and without recurrence the outputs see one frame,
which is the network to compare with, to know what memory is worth.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from affkit.errors import UserError, check_choices
from affkit.labels import EXPRESSIONS

VGG_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the 13 convolutions of VGG-Face (Parkhi et al. 2015); a 2x2 max pool ends each block."""
ATTENTIONS = ("additive", "dot_product")


@dataclass(frozen=True)
class AffWildNetConfig:
    """Size of the network; with ``width=1.0`` it is the paper's."""

    width: float = 0.125  # channels of convolutions and fully connected layer, as a fraction of VGG-Face's
    image_size: int = 96  # side of a face in pixels
    hidden: int = 128  # units of each of the two GRU layers
    attention_length: int = 32  # frames that attention looks at, the present one included
    attention: str = "additive"  # or "dot_product"
    recurrent: bool = True  # False: no GRU and no attention, every frame by itself

    def __post_init__(self):
        check_choices(self, attention=ATTENTIONS)
        if not self.width > 0:
            raise UserError("width", f"{self.width} is not above 0", "choose such as 0.125")
        if self.image_size < 32 or self.hidden < 1 or self.attention_length < 1:
            raise UserError(str(self), "is too small", "five pools, a GRU and attention need more")

    def channels(self, printed: int) -> int:
        """VGG-Face's number of channels times the width, at least one."""
        return max(1, round(printed * self.width))


class AffWildOutput(NamedTuple):
    """Predictions for ``B`` sequences of ``T`` frames."""

    va: Tensor  # (B, T, 2) valence, arousal: linear
    expression: Tensor  # (B, T, 7) logits of the softmax, in the order of EXPRESSIONS


class State(NamedTuple):
    """What the network remembers between two calls, to go on with a clip where it stopped."""

    hidden: Tensor  # (2, B, H) of the GRU
    window: Tensor  # (B, L - 1, H): the GRU's last outputs
    seen: Tensor  # (B, L - 1) bool: which of them belong to frames with a face


class VGGFace(nn.Module):
    """13 convolutions, 5 pools and the fully connected layer of 4096 units.

    The convolutions have VGG-Face's shapes. Its fully connected layer reads the 7x7 pixels that are left of
    224; of 96 only 3x3 are left, so here it has 3 * 3 * 512 inputs.

    The published weights (``vgg_weights``) want other pixels than [-1, 1]: ``scale`` and
    ``shift``, of shape ``(3, 1, 1)``, make them. They are saved with the weights, and 1 and 0 at first.
    """

    def __init__(self, config: AffWildNetConfig):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for block in VGG_BLOCKS:
            for printed in block:
                out = config.channels(printed)
                layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
                channels = out
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        # The first convolution could not do this with other weights and biases: its padding is 0 after the
        # shift, so a pixel at the border would get a part of the shift that the padding does not have.
        self.register_buffer("scale", torch.ones(3, 1, 1))
        self.register_buffer("shift", torch.zeros(3, 1, 1))
        side = config.image_size // 2 ** len(VGG_BLOCKS)
        self.fc = nn.Linear(channels * side * side, config.channels(4096))
        for module in self.modules():  # He et al. 2015: without it nothing comes through 13 layers of ReLU
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """``(N, 3, S, S)`` in [-1, 1] to features ``(N, F)``."""
        x = images * self.scale + self.shift  # (N, 3, S, S)
        x = self.layers(x)  # (N, C, S / 32, S / 32)
        return self.fc(x.flatten(1)).relu()  # (N, F)


class Attention(nn.Module):
    r"""Attention of each step over the last ``length`` outputs.

    .. math:: a_t = \mathrm{softmax}(e_t), \qquad o_t = M\,[h_t;\ \textstyle\sum_j a_{tj} h_j]

    where j runs over the frames t - length + 1 to t in which there was a face, and the energies are

    .. math:: e_{tj} = v^\top \tanh(W h_j + U h_t) \qquad\text{or}\qquad
       e_{tj} = \frac{(W h_j)^\top (U h_t)}{\sqrt{H}}

    ``"additive"`` (Bahdanau et al. 2014) or ``"dot_product"`` (Vaswani et al. 2017). The paper says only that
    the attention length is 32 and that the platform was TensorFlow 1, whose ``AttentionCellWrapper`` (after
    Cheng et al. 2016) has such a length: additive scoring, then a mixture with the output. That is the
    default here. The class also feeds the mixture back into the next step of the recurrent cell, which is
    left out: attention is a layer on top (Section IV.B).
    """

    def __init__(self, size: int, length: int, kind: str = "additive"):
        super().__init__()
        self.length = length
        self.key = nn.Linear(size, size, bias=False)  # W
        self.query = nn.Linear(size, size)  # U
        self.score = nn.Linear(size, 1, bias=False) if kind == "additive" else None  # v
        self.mix = nn.Linear(2 * size, size)  # M

    def forward(self, h: Tensor, seen: Tensor, window: Tensor, window_seen: Tensor) -> tuple[Tensor, Tensor]:
        """Mix each output of the recurrent network with those before it.

        ``h`` are the outputs ``(B, T, H)``, ``seen`` ``(B, T)`` says where there is a face; ``window`` ``(B,
        L - 1, H)`` and ``window_seen`` ``(B, L - 1)`` are those of the frames before. Returns the mixture
        ``(B, T, H)`` and the attention weights ``(B, T, L)``, the present frame last.
        """
        past = torch.cat([window, h], dim=1)  # (B, L - 1 + T, H)
        allowed = torch.cat([window_seen, seen], dim=1).unfold(1, self.length, 1)  # (B, T, L)
        energy = self._energy(self.query(h), self.key(past).unfold(1, self.length, 1))  # (B, T, L)
        present = torch.arange(self.length, device=h.device) == self.length - 1  # (L,)
        allowed = allowed | present  # never an empty softmax: a frame without a face sees itself
        weights = energy.masked_fill(~allowed, -torch.inf).softmax(dim=-1)  # (B, T, L)
        context = torch.einsum("btl,bthl->bth", weights, past.unfold(1, self.length, 1))  # (B, T, H)
        return self.mix(torch.cat([h, context], dim=-1)), weights  # (B, T, H), (B, T, L)

    def _energy(self, query: Tensor, keys: Tensor) -> Tensor:
        """Queries ``(B, T, H)`` and the keys of each window ``(B, T, H, L)`` to energies ``(B, T, L)``."""
        if self.score is None:
            return torch.einsum("bth,bthl->btl", query, keys) / query.shape[-1] ** 0.5  # (B, T, L)
        return self.score((keys.movedim(-1, 2) + query.unsqueeze(2)).tanh()).squeeze(-1)  # (B, T, L)


class AffWildNet(nn.Module):
    """Valence, arousal and expression for every frame of a clip; a frame sees only the frames before it.

    >>> net = AffWildNet(AffWildNetConfig(width=0.02, hidden=8, image_size=32))
    >>> output, state = net(torch.zeros(2, 5, 3, 32, 32))
    >>> output.va.shape, output.expression.shape
    (torch.Size([2, 5, 2]), torch.Size([2, 5, 7]))
    """

    architecture, config_class = "affwildnet", AffWildNetConfig

    def __init__(self, config: AffWildNetConfig):
        super().__init__()
        self.config = config
        self.cnn = VGGFace(config)
        features, outputs = config.channels(4096), 2 + len(EXPRESSIONS)
        self.gru = self.attention = None
        if config.recurrent:
            self.gru = nn.GRU(features, config.hidden, num_layers=2, batch_first=True)
            self.attention = Attention(config.hidden, config.attention_length, config.attention)
        self.head = nn.Linear(config.hidden if config.recurrent else features, outputs)

    def forward(
        self,
        images: Tensor,
        mask: Tensor | None = None,
        state: State | None = None,
        frames_at_a_time: int | None = None,
    ) -> tuple[AffWildOutput, State]:
        """Predict from images ``(B, T, 3, S, S)`` in [-1, 1]; returns the predictions and the state after
        them.

        ``mask`` ``(B, T)`` is false where there is no face: the frame counts as all-zero features, and its
        predictions mean nothing. A clip can come in parts: give the ``state`` that one part returned to the
        next, and the parts together predict what the whole would.
        """
        mask = torch.ones(images.shape[:2], dtype=torch.bool, device=images.device) if mask is None else mask
        return self.predict(self.features(images, mask, frames_at_a_time), mask, state)

    def features(self, images: Tensor, mask: Tensor, frames_at_a_time: int | None = None) -> Tensor:
        """The convolutional half: ``(B, T, 3, S, S)`` to ``(B, T, F)``; 0 where the mask is false.

        With ``frames_at_a_time`` the frames go through in parts, and of each part only the features are kept
        for the backward pass, where all else is computed again: any batch then fits into the memory of one
        part. The gradients are the same, because there is no batch normalisation in VGG-Face.
        """
        frames = images[mask]  # (N, 3, S, S) for N frames with a face
        if frames_at_a_time is None:
            seen = self.cnn(frames)  # (N, F)
        else:
            parts = frames.split(frames_at_a_time)
            seen = torch.cat([checkpoint(self.cnn, part, use_reentrant=False) for part in parts])  # (N, F)
        features = seen.new_zeros(*mask.shape, seen.shape[-1])  # (B, T, F)
        features[mask] = seen
        return features

    def predict(
        self, features: Tensor, mask: Tensor, state: State | None = None
    ) -> tuple[AffWildOutput, State]:
        """The recurrent half: features ``(B, T, F)`` to predictions; see :meth:`forward`."""
        state = self.start(features) if state is None else state
        if not self.config.recurrent:
            return self._outputs(features), state
        h, hidden = self.gru(features, state.hidden)  # (B, T, H), (2, B, H)
        x, _ = self.attention(h, mask, state.window, state.seen)  # (B, T, H)
        keep = self.config.attention_length - 1
        window = torch.cat([state.window, h], dim=1)
        seen = torch.cat([state.seen, mask], dim=1)
        last = State(hidden, window[:, window.shape[1] - keep :], seen[:, seen.shape[1] - keep :])
        return self._outputs(x), last

    def attention_weights(self, features: Tensor, mask: Tensor) -> Tensor:
        """How much each frame looks at itself and those before it: ``(B, T, L)``, the present frame last.

        ``features`` ``(B, T, F)`` and ``mask`` ``(B, T)`` are those of a clip from its start.
        """
        state = self.start(features)
        h, _ = self.gru(features, state.hidden)  # (B, T, H)
        return self.attention(h, mask, state.window, state.seen)[1]  # (B, T, L)

    def _outputs(self, x: Tensor) -> AffWildOutput:
        return AffWildOutput(*self.head(x).split([2, len(EXPRESSIONS)], dim=-1))  # (B, T, 2), (B, T, 7)

    def start(self, features: Tensor) -> State:
        """The state before the first frame: zeros, and nothing seen."""
        batch, length = features.shape[0], self.config.attention_length - 1
        return State(
            features.new_zeros(2, batch, self.config.hidden),
            features.new_zeros(batch, length, self.config.hidden),
            torch.zeros(batch, length, dtype=torch.bool, device=features.device),
        )
