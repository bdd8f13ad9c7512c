"""Equations 1 to 6 of the paper (Section IV.C), a function each: the formula, then the line that is it.

Masks say what is labelled. A value whose mask is false has no influence: whatever it holds, its gradient is
zero; where nothing at all is labelled, a loss is 0. So frames labelled for valence and arousal, for some
action units, for an expression or for nothing can share one batch.

Equation 1 is the sum of two sums, :math:`L_{total} = L_{gen} + R_{images} + F_{images}`. It is never one
line of code: the generator minimises the first term and the discriminator the other two, in turn
(:mod:`affkit.train_gan`).

Networks return logits, the numbers before a sigmoid or softmax, and so do the losses take them: the logarithm
of a sigmoid is exact where the sigmoid itself would round to 0 or 1.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

VA_LOSSES = ("ccc", "mse")
GENERATOR_LOSSES = ("log", "non-saturating")
EXPRESSION_LOSSES = ("cross_entropy", "mse_before_softmax", "mse_after_softmax")


def ccc(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Concordance correlation coefficient of two sets of numbers (Eq. 5; Lin 1989).

    .. math:: \rho_c = \frac{2 s_{xy}}{s_x^2 + s_y^2 + (\bar x - \bar y)^2}

    It is 1 only if ``x`` equals ``y`` everywhere; an offset or a wrong scale costs, unlike in Pearson's
    correlation. The paper calls :math:`s_x, s_y` variances and then squares them; they are standard
    deviations. All three moments divide by the number of values ``n`` (not by ``n - 1``).

    A constant has no covariance with anything: the CCC is 0, also for two equal constants, where the formula
    reads 0/0. Its gradient with respect to ``x`` is exactly zero when ``y`` is constant, so a CCC loss
    against a constant teaches nothing.

    Parameters
    ----------
    x, y:
        The same shape, any; all their values are one set.
    mask:
        The same shape, bool; all true by default.

    Returns
    -------
    Tensor
        A number in [-1, 1]; 0 when fewer than two values are labelled.

    >>> x = torch.tensor([-0.5, 0.0, 0.5])
    >>> ccc(x, x), ccc(x, -x), ccc(x, x + 0.5)
    (tensor(1.), tensor(-1.), tensor(0.5714))
    """
    mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    n = mask.sum().clamp(min=1)
    x_centred, y_centred = _centred(x, mask, n), _centred(y, mask, n)
    s_xy = (x_centred * y_centred).sum() / n
    variances = (x_centred.square().sum() + y_centred.square().sum()) / n
    gap = torch.where(mask, x - y, 0).sum() / n  # mean of x minus mean of y
    denominator = variances + gap.square()
    return 2 * s_xy / torch.where(denominator > 0, denominator, 1)


def _centred(x: Tensor, mask: Tensor, n: Tensor) -> Tensor:
    """``x`` minus its mean over the mask, 0 elsewhere; a constant becomes exactly 0.

    The mean of equal floats can differ from them by a rounding error. Subtracting one of the labelled
    values first makes the differences of a constant exactly 0, and loses fewer digits for all else.
    """
    first = mask.flatten().int().argmax(keepdim=True)
    reference = x.detach().flatten().gather(0, first)  # (1,)
    x = torch.where(mask, x - reference, 0)
    return torch.where(mask, x - x.sum() / n, 0)


def va_loss(predicted: Tensor, target: Tensor, mask: Tensor | None = None, kind: str = "ccc") -> Tensor:
    r"""Loss of valence and arousal: by CCC (Eq. 4) or by mean squared error.

    .. math:: L_{VA} = 1 - \frac{\rho_a + \rho_v}{2}
       \qquad\text{or}\qquad
       L_{VA} = \frac{1}{2}\left(\overline{(v - \hat v)^2} + \overline{(a - \hat a)^2}\right)

    Parameters
    ----------
    predicted, target:
        ``(..., 2)``: valence, arousal.
    mask:
        ``(...,)`` bool: both are labelled.
    kind:
        ``"ccc"``, in [0, 2], or ``"mse"``.

    >>> target = torch.tensor([[-0.5, 0.1], [0.5, 0.3]])
    >>> va_loss(target, target), va_loss(target + 0.5, target, kind="mse")
    (tensor(0.), tensor(0.2500))
    """
    mask = torch.ones_like(predicted[..., 0], dtype=torch.bool) if mask is None else mask
    if _known(kind, VA_LOSSES) == "mse":
        both = mask.unsqueeze(-1).expand_as(predicted)  # (..., 2)
        predicted, target = _labelled(both, predicted, target)
        return _masked_mean((predicted - target).square(), both)
    rho_v, rho_a = (ccc(predicted[..., i], target[..., i], mask) for i in (0, 1))
    return torch.where(mask.any(), 1 - (rho_a + rho_v) / 2, 0)


def au_loss(logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Cross entropy averaged over the action units (Section IV.C.1).

    .. math:: L_{AU} = -\overline{t \log p + (1 - t) \log(1 - p)}, \qquad p = \sigma(\text{logit})

    The mean is over all labelled entries, so a unit counts by how often it is labelled.

    Parameters
    ----------
    logits, target:
        ``(..., 8)``; targets in [0, 1], between the ends under label smoothing.
    mask:
        ``(..., 8)`` bool: this unit is labelled in this frame.

    >>> au_loss(torch.zeros(4, 8), torch.ones(4, 8))  # undecided: log 2
    tensor(0.6931)
    """
    mask = torch.ones_like(logits, dtype=torch.bool) if mask is None else mask
    logits, target = _labelled(mask, logits, target)
    return _masked_mean(F.binary_cross_entropy_with_logits(logits, target, reduction="none"), mask)


def fake_loss(logit: Tensor, label: float) -> Tensor:
    r"""Cross entropy of the fake class against one label for the whole batch (Section IV.C.1).

    ``logit`` is ``(B,)``, its sigmoid x, the probability that the image is fake; ``label`` is 0 for real
    images, 0.9 (smoothed) for fake ones.

    >>> fake_loss(torch.full((4,), -20.0), 0.0) < 1e-8
    tensor(True)
    """
    return F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, label))


def reconstruction_loss(real: Tensor, fake: Tensor, delta: float = 1.0) -> Tensor:
    r"""Huber loss between a real and a generated batch of images, the second term of Eq. 2.

    .. math:: L_\delta(d) = \tfrac{1}{2} d^2 \text{ where } |d| \le \delta,
       \text{ else } \delta\,(|d| - \tfrac{1}{2}\delta)

    averaged over all pixels of ``(B, 3, S, S)`` in [-1, 1]. Nothing ties a generated image to the real one at
    the same place in the batch: what minimises this is the typical face, so its weight is annealed away.
    """
    return F.huber_loss(fake, real, delta=delta)


def generator_loss(
    fake_logit: Tensor,
    real: Tensor | None = None,
    fake: Tensor | None = None,
    w_r: float = 0.0,
    kind: str = "log",
) -> Tensor:
    r"""What the generator minimises (Eq. 2).

    .. math:: L_{gen} = \log x + w_r\, L_\delta(real - fake)

    with x the probability of "fake" that the discriminator gives a generated image. As printed (``"log"``)
    the gradient of the first term vanishes where it is needed most, when the discriminator is sure
    (:math:`x \to 1`), and the loss has no floor when it is fooled (:math:`x \to 0`). The usual cure
    (Goodfellow et al. 2014, Section 3) is ``"non-saturating"``: :math:`-\log(1 - x)` in its place.

    ``fake_logit`` ``(B,)`` is the discriminator's fake class for generated images, before the sigmoid;
    ``real`` and ``fake`` ``(B, 3, S, S)`` are only needed when ``w_r`` is not 0.

    >>> sure = torch.tensor([5.0], requires_grad=True)
    >>> torch.autograd.grad(generator_loss(sure), sure), torch.autograd.grad(
    ...     generator_loss(sure, kind="non-saturating"), sure)
    ((tensor([0.0067]),), (tensor([0.9933]),))
    """
    if _known(kind, GENERATOR_LOSSES) == "log":
        loss = F.logsigmoid(fake_logit).mean()  # log x
    else:
        loss = -F.logsigmoid(-fake_logit).mean()  # -log(1 - x)
    return loss + w_r * reconstruction_loss(real, fake) if w_r else loss


def real_loss(output, labels: Mapping[str, Tensor], va_kind: str = "ccc") -> dict[str, Tensor]:
    r"""The discriminator's loss on real images (Eq. 3); the label of the fake class is 0.

    .. math:: R_{images} = R_{VA} + R_{AU} + R_{fake}

    ``output`` is a :class:`~affkit.gan.DiscriminatorOutput`, whose ``va`` or ``action_units`` may be None,
    and ``labels`` are those of :class:`~affkit.store.FrameDataset`. Returns the terms ``va``, ``au`` and
    ``fake``.
    """
    terms = {}
    if output.va is not None:
        target = torch.stack([labels["valence"], labels["arousal"]], dim=-1)  # (B, 2)
        terms["va"] = va_loss(output.va, target, labels["has_va"], va_kind)
    if output.action_units is not None:
        terms["au"] = au_loss(output.action_units, labels["action_units"], labels["has_action_units"])
    return terms | {"fake": fake_loss(output.fake, 0.0)}


def fake_images_loss(
    output, va_kind: str = "ccc", label: float = 0.01, fake_label: float = 0.9
) -> dict[str, Tensor]:
    r"""The discriminator's loss on generated images, with smoothed labels (Section IV.C.1).

    .. math:: F_{images} = F_{VA} + F_{AU} + F_{fake}

    Every generated image gets the same ``label`` for valence, arousal and all action units. A CCC with a
    constant is 0 with a gradient of exactly 0, so with ``va_kind="ccc"`` the first term is 1 and inert, as
    the paper prints it; ``"mse"`` makes it act. Returns the terms ``va``, ``au`` and ``fake``.
    """
    terms = {}
    if output.va is not None:
        terms["va"] = va_loss(output.va, torch.full_like(output.va, label), kind=va_kind)
    if output.action_units is not None:
        terms["au"] = au_loss(output.action_units, torch.full_like(output.action_units, label))
    return terms | {"fake": fake_loss(output.fake, fake_label)}


def expression_loss(
    logits: Tensor, target: Tensor, mask: Tensor | None = None, kind: str = "cross_entropy"
) -> Tensor:
    r"""Loss of the seven expressions (Section IV.C.2): cross entropy, or one of two mean squared errors.

    .. math:: -\overline{\log p_t}, \qquad \overline{(\text{logit} - e_t)^2}, \qquad \overline{(p - e_t)^2}

    with :math:`p = \mathrm{softmax}(\text{logit})` and :math:`e_t` the one-hot code of the class t. The
    squared errors are averaged over frames and classes.

    ``logits`` are ``(..., 7)``, ``target`` ``(...,)`` int64 from 0 to 6, ``mask`` ``(...,)`` bool, and
    ``kind`` one of :data:`EXPRESSION_LOSSES`.

    >>> expression_loss(torch.zeros(2, 7), torch.tensor([0, 6]))  # log 7
    tensor(1.9459)
    """
    mask = torch.ones_like(target, dtype=torch.bool) if mask is None else mask
    (target,), (logits,) = _labelled(mask, target), _labelled(mask.unsqueeze(-1), logits)
    if _known(kind, EXPRESSION_LOSSES) == "cross_entropy":
        entropy = F.cross_entropy(logits.flatten(0, -2), target.flatten(), reduction="none")  # (N,)
        return _masked_mean(entropy, mask.flatten())
    values = logits if kind == "mse_before_softmax" else logits.softmax(dim=-1)
    one_hot = F.one_hot(target, logits.shape[-1]).to(values.dtype)  # (..., 7)
    return _masked_mean((values - one_hot).square(), mask.unsqueeze(-1).expand_as(values))


def multitask_loss(
    output,
    labels: Mapping[str, Tensor],
    alpha: float = 0.5,
    beta: float = 0.5,
    va_kind: str = "ccc",
    expression_kind: str = "cross_entropy",
) -> dict[str, Tensor]:
    r"""Valence, arousal and expression together (Eq. 6).

    .. math:: L_{total} = \alpha\, L'_{VA} + \beta\, L_{basic\_expressions}

    With (alpha, beta) = (1, 0) the network only regresses, with (0, 1) it only classifies. The CCC is taken
    over all labelled frames of the batch together, not a sequence at a time.

    ``output`` has ``va`` ``(B, T, 2)`` and ``expression`` ``(B, T, 7)`` logits
    (:class:`~affkit.multitask.AffWildOutput`), ``labels`` are those of
    :class:`~affkit.store.SequenceDataset`, ``(B, T)`` each. Returns the weighted terms ``va`` and
    ``expression``.
    """
    if not (0 <= alpha <= 1 and 0 <= beta <= 1):
        raise ValueError(f"alpha and beta are in [0, 1], not {alpha} and {beta}")
    target = torch.stack([labels["valence"], labels["arousal"]], dim=-1)  # (B, T, 2)
    return {
        "va": alpha * va_loss(output.va, target, labels["has_va"], va_kind),
        "expression": beta
        * expression_loss(output.expression, labels["expression"], labels["has_expression"], expression_kind),
    }


def _labelled(mask: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors with 0 wherever the mask is false.

    Before the formula, not after it: behind a NaN the chain rule multiplies a gradient of 0 by NaN, which is
    NaN again, although the loss itself looks right.
    """
    return tuple(torch.where(mask, tensor, 0) for tensor in tensors)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the mask; 0 when it is empty."""
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def _known(kind: str, kinds: tuple[str, ...]) -> str:
    if kind not in kinds:
        raise ValueError(f"{kind!r} is none of {', '.join(kinds)}")
    return kind
