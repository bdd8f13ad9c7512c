"""A pretrained convolutional half: VGG-Face's layers, taught on many people who they are and what they do.

A network like that of Figure 5 starts from one that knows faces already: VGG-Face, trained to tell 2,622
people apart (Parkhi et al. 2015). This one is its small relative, trained to tell drawn people apart and to
see their action units. It is told nothing about valence, arousal or expressions, so what a recurrent network
on top of it says about those was learned there.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from affkit.labels import ACTION_UNITS
from affkit.learn.affwildnet import AffWildNetConfig, VGGFace
from affkit.learn.feature_net import FeatureOutput


@dataclass(frozen=True)
class FaceNetConfig:
    """What a :class:`FaceNet` looks like.

    Attributes
    ----------
    num_subjects:
        People it tells apart: those of the faces it is trained on.
    width, image_size:
        As in :class:`~affkit.learn.affwildnet.AffWildNetConfig`.
    dropout:
        Share of the features left out in each step of training; VGG-Face's is 0.5.
    """

    num_subjects: int
    width: float = 0.125
    image_size: int = 96
    dropout: float = 0.5


class FaceNet(nn.Module):
    """:class:`~affkit.learn.affwildnet.VGGFace`, and straight lines from its features to what it is taught.

    >>> import torch
    >>> net = FaceNet(FaceNetConfig(num_subjects=3, width=0.02, image_size=32)).eval()
    >>> net(torch.zeros(2, 3, 32, 32)).action_units.shape
    torch.Size([2, 8])
    """

    architecture = "facenet"

    def __init__(self, config: FaceNetConfig):
        super().__init__()
        self.config = config
        sizes = AffWildNetConfig(config.width, config.image_size)
        self.cnn = VGGFace(sizes)
        self.dropout = nn.Dropout(config.dropout)
        self.action_units = nn.Linear(sizes.channels(4096), len(ACTION_UNITS))
        self.subject = nn.Linear(sizes.channels(4096), config.num_subjects)

    def forward(self, images: Tensor) -> FeatureOutput:
        """Faces ``(B, 3, S, S)`` in [-1, 1]; valence and arousal are None."""
        x = self.dropout(self.cnn(images))  # (B, F)
        return FeatureOutput(None, self.action_units(x), self.subject(x))
