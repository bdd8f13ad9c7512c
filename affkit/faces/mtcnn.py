"""MTCNN: three small networks in a row find faces (Zhang et al. 2016, IEEE Signal Processing Letters 23(10)).

P-Net looks at every place of a picture in many sizes, 12 pixels wide, and is easily satisfied; R-Net at what
it found, 24 wide, and O-Net at what is left, 48 wide. Each says how likely a window is a face and by how much
its four sides should move. Only the weights of facenet-pytorch 2.6.0 (MIT) are used: its code needs an old
torch.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from affkit.errors import UserError
from affkit.faces.detectors import Box

INSTALL = "pip install --no-deps facenet-pytorch==2.6.0"
STEP = 0.709  # from one size of the pyramid to the next: half the area
THRESHOLDS = 0.6, 0.7  # least probability to pass P-Net and R-Net, as published

# Its boxes as true boxes: shift in widths and heights of the box, then factors on both (docs/detectors.md)
SHIFT, SCALE = (0.0, 0.1), (1.063, 0.954)


class PNet(nn.Module):
    """``(1, 3, H, W)`` to probabilities ``(1, 1, h, w)`` and shifts of the sides ``(1, 4, h, w)``.

    Place (i, j) of the answer is the window of 12 pixels whose corner is at (2i, 2j).
    """

    def __init__(self):
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x):
        x = self.prelu1(self.conv1(x))  # 12 -> 10
        x = functional.max_pool2d(x, 2, 2, ceil_mode=True)  # -> 5
        x = self.prelu2(self.conv2(x))  # -> 3
        x = self.prelu3(self.conv3(x))  # -> 1
        return self.conv4_1(x).softmax(1)[:, 1:], self.conv4_2(x)


class RNet(nn.Module):
    """``(N, 3, 24, 24)`` to probabilities ``(N,)`` and shifts of the sides ``(N, 4)``."""

    def __init__(self):
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(64 * 3 * 3, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x):
        x = functional.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)  # 24 -> 22 -> 11
        x = functional.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)  # -> 9 -> 4
        x = self.prelu3(self.conv3(x))  # -> 3
        x = self.prelu4(self.dense4(_flat(x)))
        return self.dense5_1(x).softmax(1)[:, 1], self.dense5_2(x)


class ONet(nn.Module):
    """``(N, 3, 48, 48)`` to probabilities ``(N,)`` and shifts of the sides ``(N, 4)``."""

    def __init__(self):
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(128 * 3 * 3, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2 = nn.Linear(256, 2), nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)  # eyes, nose, mouth: in the weights, not asked for here

    def forward(self, x):
        x = functional.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)  # 48 -> 46 -> 23
        x = functional.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)  # -> 21 -> 10
        x = functional.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)  # -> 8 -> 4
        x = self.prelu4(self.conv4(x))  # -> 3
        x = self.prelu5(self.dense5(_flat(x)))
        return self.dense6_1(x).softmax(1)[:, 1], self.dense6_2(x)


def _flat(x: torch.Tensor) -> torch.Tensor:
    """``(N, C, H, W)`` to ``(N, W * H * C)``: the order in which the weights were trained."""
    return x.permute(0, 3, 2, 1).flatten(1)


@lru_cache
def _networks() -> tuple[PNet, RNet, ONet]:
    spec = find_spec("facenet_pytorch")  # finds the folder, runs nothing in it
    if spec is None:
        raise UserError("mtcnn", "its weights are not installed", f"run {INSTALL}")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    networks = PNet(), RNet(), ONet()
    for network in networks:
        file = folder / f"{type(network).__name__.lower()}.pt"
        if not file.is_file():
            raise UserError(file, "no such file", f"run {INSTALL}")
        network.load_state_dict(torch.load(file, weights_only=True))
        network.eval()
    return networks


@dataclass(frozen=True)
class MTCNNDetector:
    """The three networks in a row; frontal and turned faces, also partly hidden ones."""

    name: ClassVar[str] = "mtcnn"
    smallest: float = 1 / 12  # width of a face, of the picture's shorter side; never below 20 pixels
    min_score: float = 0.7  # probability that O-Net gives
    clear: float = 0.95  # every person has it at least once in a clip

    def __post_init__(self):
        _networks()

    @torch.inference_mode()
    def detect(self, frame: np.ndarray) -> list[Box]:
        first, second, third = _networks()
        picture = torch.tensor(frame).permute(2, 0, 1)[None].float()
        smallest = max(20.0, self.smallest * min(frame.shape[:2]))
        windows = _squared(propose(first, picture, smallest))
        sums = integral(frame)
        scores, windows = _judge(second, crops(sums, windows, 24), windows, THRESHOLDS[1])
        windows = _squared(windows[nms(windows, scores, 0.7)])
        scores, windows = _judge(third, crops(sums, windows, 48), windows, self.min_score)
        kept = nms(windows, scores, 0.7, of_smaller=True)
        found = torch.cat([windows, scores[:, None]], 1)[kept].tolist()
        boxes = (Box(x, y, right - x, bottom - y, score) for x, y, right, bottom, score in found)
        return [box.calibrated(SHIFT, SCALE) for box in boxes]


def propose(network: nn.Module, picture: torch.Tensor, smallest: float) -> torch.Tensor:
    """Windows ``(N, 4)``, left, top, right, bottom, that P-Net takes for faces in ``(1, 3, H, W)``, 0..255.

    The picture is reduced until a face of ``smallest`` pixels is 12 wide, then by :data:`STEP` while one fits
    in.
    """
    height, width = picture.shape[2:]
    scale, windows, scores = 12 / smallest, [torch.zeros(0, 4)], [torch.zeros(0)]
    while min(height, width) * scale >= 12:
        shape = round(height * scale), round(width * scale)
        probability, shift = network(_unit(functional.interpolate(picture, shape, mode="area")))
        row, column = (probability[0, 0] >= THRESHOLDS[0]).nonzero(as_tuple=True)
        left_top = 2 * torch.stack([column * width / shape[1], row * height / shape[0]], 1)
        window = torch.cat([left_top, left_top + 12 / scale], 1)
        score, moved = probability[0, 0, row, column], _moved(window, shift[0, :, row, column].T)
        kept = nms(window, score, 0.5)
        windows, scores, scale = [*windows, moved[kept]], [*scores, score[kept]], scale * STEP
    windows, scores = torch.cat(windows), torch.cat(scores)
    return windows[nms(windows, scores, 0.7)]


def _judge(
    network: nn.Module, pictures: torch.Tensor, windows: torch.Tensor, least: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and moved windows of those that ``network`` gives at least the probability ``least``."""
    score, shift = network(_unit(pictures))
    passed = score >= least
    return score[passed], _moved(windows[passed], shift[passed])


def _moved(windows: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """``(N, 4)`` windows, each side moved by so many widths or heights."""
    return windows + shift * (windows[:, 2:] - windows[:, :2]).repeat(1, 2)


def _squared(windows: torch.Tensor) -> torch.Tensor:
    """The smallest squares around the same centres."""
    centre, half = (windows[:, :2] + windows[:, 2:]) / 2, (windows[:, 2:] - windows[:, :2]) / 2
    half = half.amax(1, keepdim=True)
    return torch.cat([centre - half, centre + half], 1)


def nms(windows: torch.Tensor, scores: torch.Tensor, most: float, of_smaller: bool = False) -> torch.Tensor:
    """Non-maximum suppression: which windows no better kept one overlaps by more than ``most``; best first.

    The overlap is over the union, or over the smaller area. All are kept at first, and those dropped that
    clash with a kept better one, until nothing changes: after n rounds the n best are right, mostly all after
    a few.

    >>> windows = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])
    >>> nms(windows, torch.tensor([0.7, 0.9, 0.8]), 0.5).tolist()
    [1, 2]
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = windows[order]
    left_top = torch.maximum(ranked[:, None, :2], ranked[None, :, :2])
    right_bottom = torch.minimum(ranked[:, None, 2:], ranked[None, :, 2:])
    shared = (right_bottom - left_top).clamp(min=0).prod(2)
    area = (ranked[:, 2:] - ranked[:, :2]).prod(1)
    whole = torch.minimum(area[:, None], area) if of_smaller else area[:, None] + area - shared
    clash = (shared > most * whole).triu(1)  # a row is the better one
    kept, before = torch.ones_like(order, dtype=torch.bool), None
    while before is None or not torch.equal(kept, before):
        kept, before = ~(clash & kept[:, None]).any(0), kept
    return order[kept]


def _unit(pixels: torch.Tensor) -> torch.Tensor:
    """0..255 to -1..1, as in training."""
    return (pixels - 127.5) / 128


def integral(frame: np.ndarray) -> torch.Tensor:
    """Sums of all pixels above and to the left: ``(H, W, 3)`` uint8 to ``(1, 3, H + 1, W + 1)`` float64."""
    return torch.from_numpy(cv2.integral(frame, sdepth=cv2.CV_64F)).permute(2, 0, 1)[None]


def crops(sums: torch.Tensor, windows: torch.Tensor, size: int) -> torch.Tensor:
    """Mean colours in ``size`` x ``size`` cells of each window ``(N, 4)``: ``(N, 3, size, size)`` float32.

    Four values of ``sums``, the :func:`integral`, give the sum over any rectangle, all windows at once;
    outside the picture is black.

    >>> frame = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, 2)
    >>> crops(integral(frame), torch.tensor([[0.0, 0, 4, 4]]), 2)[0, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    steps = torch.linspace(0, 1, size + 1, dtype=torch.float64)
    start, length = windows[:, :2].double(), (windows[:, 2:] - windows[:, :2]).double()
    corners = start[:, :, None] + length[:, :, None] * steps  # (N, 2, size + 1): x and y of the cells' sides
    extent = torch.tensor([sums.shape[3] - 1, sums.shape[2] - 1], dtype=torch.float64)
    x, y = (2 * corners / extent[:, None] - 1).unbind(1)  # -1 to 1 over the picture
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), 3)  # (N, size + 1, size + 1, 2)
    at = functional.grid_sample(
        sums, grid.reshape(1, -1, size + 1, 2), padding_mode="border", align_corners=True
    )
    at = at.reshape(sums.shape[1], len(windows), size + 1, size + 1).transpose(0, 1)
    cell = (length.prod(1) / size**2)[:, None, None, None]
    return (at.diff(dim=2).diff(dim=3) / cell).float()
