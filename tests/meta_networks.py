"""Networks without memory for their weights: only their shapes."""

import torch

from affkit.learn.gan import GanNetConfig


def meta(net_class, *args, **kwargs):
    """``Generator`` or ``Discriminator``, with the arguments of its configuration."""
    with torch.device("meta"):
        return net_class(GanNetConfig(*args, **kwargs))
