"""Equations 1 to 6 against NumPy, torchmetrics, numerical gradients and their own properties."""

from functools import partial

import numpy as np
import pytest
import torch
import torchmetrics
from guesses import plain_ccc
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn.metrics import log_loss

from affkit import losses
from affkit.gan import DiscriminatorOutput
from affkit.multitask import AffWildOutput

RNG = np.random.default_rng(0)
SINGLE = st.floats(-1, 1, width=32)
PAIRS = st.integers(2, 30).flatmap(lambda n: hnp.arrays(np.float64, (2, n), elements=st.floats(-1, 1)))


def tensor(values, grad=False):
    return torch.tensor(np.asarray(values), dtype=torch.float64, requires_grad=grad)


# Eq. 5


@given(PAIRS, st.floats(-1, 1), st.floats(0.1, 10))
def test_ccc_is_the_formula(pair, shift, scale):
    """Also of numbers far apart in place and size, and as torchmetrics has it."""
    assume(all(np.var(values) > 1e-6 for values in pair))
    x, y = pair[0], scale * pair[1] + shift
    expected = plain_ccc(x, y)
    assert losses.ccc(tensor(x), tensor(y)).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    # theirs has variances over n - 1 beside the same gap: with a gap of 0 both are one number
    theirs = torchmetrics.functional.concordance_corrcoef(tensor(x - x.mean()), tensor(y - y.mean())).item()
    ours = losses.ccc(tensor(x - x.mean()), tensor(y - y.mean())).item()
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@given(PAIRS, st.floats(-1, 1), st.floats(0.1, 10))
def test_ccc_is_symmetric_blind_to_shared_units_and_never_farther_from_0_than_pearson(pair, shift, scale):
    x, y = map(tensor, pair)
    value = losses.ccc(x, y).item()
    assert -1 - 1e-9 <= value <= 1 + 1e-9
    assert value == pytest.approx(losses.ccc(y, x).item(), abs=1e-12)
    assume(np.var(pair[0]) + np.var(pair[1]) > 1e-6)
    assert losses.ccc(scale * x + shift, scale * y + shift).item() == pytest.approx(value, abs=1e-6)
    assume(all(np.var(values) > 1e-6 for values in pair))
    pearson = np.corrcoef(*pair)[0, 1]
    assert abs(value) <= abs(pearson) + 1e-9 and value * pearson >= -1e-12


@pytest.mark.parametrize("known", [0.3, 0.5, 0.8])
def test_mse_rewards_shrunken_predictions_and_ccc_those_as_wide_as_the_labels(known):
    """Labels are a signal plus what no one can know; the prediction is k times the signal."""
    signal, unknown = RNG.normal(size=(2, 50_000)) * [[known**0.5], [(1 - known) ** 0.5]]
    factors = np.linspace(0.5, 2.5, 101)
    signal, labels = tensor(signal - signal.mean()), tensor(signal + unknown)
    mse = [losses.va_loss(k * signal[:, None], labels[:, None], kind="mse") for k in factors.tolist()]
    ccc = [losses.ccc(k * signal, labels) for k in factors.tolist()]
    assert factors[np.argmin(mse)] == pytest.approx(1, abs=0.02)
    assert factors[np.argmax(ccc)] == pytest.approx(known**-0.5, abs=0.02)


@given(SINGLE, SINGLE, hnp.arrays(np.float32, 7, elements=SINGLE))
def test_a_constant_gives_zero_and_finite_gradients(c, d, values):
    """Also for floats whose mean is not the float itself, such as 7 times 0.1."""
    for x, y in ((torch.full((7,), c), torch.from_numpy(values)), (torch.full((7,), c), torch.full((7,), d))):
        x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
        value = losses.ccc(x, y)
        value.backward()
        assert value.item() == 0
        assert x.grad.isfinite().all() and y.grad.isfinite().all()


def test_a_ccc_loss_against_a_constant_teaches_nothing():
    """Every fake image has valence and arousal 0.01 (IV.C.1): with the CCC the gradient is exactly 0."""
    predicted = torch.randn(63, 2, requires_grad=True)
    output = DiscriminatorOutput(predicted, None, torch.zeros(63))
    terms = {kind: losses.fake_images_loss(output, va_kind=kind)["va"] for kind in ("ccc", "mse")}
    gradients = {kind: torch.autograd.grad(term, predicted)[0] for kind, term in terms.items()}
    assert terms["ccc"].item() == 1 and (gradients["ccc"] == 0).all() and (gradients["mse"] != 0).all()


def test_gradients_are_the_numerical_ones():
    def check(loss, *inputs):
        assert torch.autograd.gradcheck(loss, inputs)

    x, y = (tensor(RNG.uniform(-1, 1, 12), grad=True) for _ in range(2))
    mask = torch.arange(12) % 3 > 0
    check(lambda x, y: losses.ccc(x, y, mask), x, y)
    va, target = tensor(RNG.uniform(-1, 1, (9, 2)), grad=True), tensor(RNG.uniform(-1, 1, (9, 2)))
    for kind in losses.VA_LOSSES:
        check(partial(losses.va_loss, target=target, kind=kind), va)
    logits, units = tensor(RNG.normal(size=(5, 8)), grad=True), tensor(RNG.integers(0, 2, (5, 8)))
    check(lambda z: losses.au_loss(z, units, units > 0), logits)
    check(lambda z: losses.fake_loss(z[0], 0.9), logits)
    faces, fake_logit = tensor(RNG.uniform(-3, 3, (2, 3, 2, 2)), True), tensor(RNG.normal(size=2), True)
    for kind in losses.GENERATOR_LOSSES:
        of_kind = partial(losses.generator_loss, w_r=0.7, kind=kind)
        check(lambda z, f, loss=of_kind: loss(z, torch.zeros_like(f), f), fake_logit, faces)
    logits, classes = tensor(RNG.normal(size=(6, 7)), grad=True), torch.tensor([0, 6, 2, 3, 3, 1])
    for kind in losses.EXPRESSION_LOSSES:
        check(partial(losses.expression_loss, target=classes, kind=kind), logits)


# Eq. 4, and the cross entropies


def test_va_loss_is_the_formula():
    predicted, target = RNG.uniform(-1, 1, (2, 40, 2))
    rho_v, rho_a = (plain_ccc(predicted[:, i], target[:, i]) for i in (0, 1))
    assert losses.va_loss(tensor(predicted), tensor(target)).item() == pytest.approx(1 - (rho_a + rho_v) / 2)
    mse = np.mean([np.mean((predicted[:, i] - target[:, i]) ** 2) for i in (0, 1)])
    assert losses.va_loss(tensor(predicted), tensor(target), kind="mse").item() == pytest.approx(mse)


def test_au_loss_is_the_mean_of_eight_cross_entropies():
    logits, target = RNG.normal(size=(20, 8)), RNG.integers(0, 2, (20, 8))
    probability = 1 / (1 + np.exp(-logits))
    per_unit = [log_loss(target[:, k], probability[:, k], labels=[0, 1]) for k in range(8)]
    assert losses.au_loss(tensor(logits), tensor(target)).item() == pytest.approx(np.mean(per_unit))


@pytest.mark.parametrize("logit", [-300.0, -80.0, -20.0, -3.0, 0.0, 0.7, 3.0, 20.0, 80.0, 300.0])
def test_float32_logits_give_the_loss_of_float64_where_a_sigmoid_gives_infinity(logit):
    for label in (0.0, 0.9, 1.0):
        exact = np.logaddexp(0, logit) - label * logit  # float64
        single = torch.tensor([logit], requires_grad=True)
        loss = losses.fake_loss(single, label)
        loss.backward()
        assert loss.item() == pytest.approx(exact, rel=1e-6, abs=1e-7) and single.grad.isfinite().all()
    with np.errstate(divide="ignore", over="ignore"):
        careless = -np.log(1 - 1 / (1 + np.exp(np.float32(-logit))))  # label 0
    assert np.isfinite(careless) == (logit < 17)


# Eq. 2


def test_generator_loss_is_the_formula():
    logit, (real, fake) = RNG.normal(size=4), RNG.uniform(-3, 3, (2, 4, 3, 5, 5))
    x, d = 1 / (1 + np.exp(-logit)), np.abs(real - fake)
    huber = np.where(d <= 1, d**2 / 2, d - 0.5).mean()
    arguments = tensor(logit), tensor(real), tensor(fake), 0.3
    assert losses.generator_loss(*arguments).item() == pytest.approx(np.log(x).mean() + 0.3 * huber)
    other = losses.generator_loss(*arguments, kind="non-saturating").item()
    assert other == pytest.approx(-np.log(1 - x).mean() + 0.3 * huber)
    sharper = np.where(d <= 0.4, d**2 / 2, 0.4 * (d - 0.2)).mean()
    assert losses.reconstruction_loss(*arguments[1:3], delta=0.4).item() == pytest.approx(sharper)


def test_both_generator_losses_pull_the_same_way_but_only_one_pulls_when_d_is_sure():
    logit = torch.tensor([8.0], requires_grad=True)  # sure that it is fake
    (printed,) = torch.autograd.grad(losses.generator_loss(logit), logit)
    (usual,) = torch.autograd.grad(losses.generator_loss(logit, kind="non-saturating"), logit)
    assert 0 < printed < 1e-3 < 0.99 < usual
    assert losses.generator_loss(torch.tensor([-500.0])).item() == -500  # no floor


# Eq. 3


SHAPES = (6, 2), (6, 8), (6,)  # valence and arousal, action units, fake


def make_labels(n=6):
    return {
        "valence": torch.rand(n),
        "arousal": torch.rand(n),
        "has_va": torch.arange(n) % 2 == 0,
        "action_units": torch.randint(0, 2, (n, 8)).float(),
        "has_action_units": torch.rand(n, 8) < 0.5,
        "expression": torch.randint(0, 7, (n,)),
        "has_expression": torch.arange(n) % 3 == 0,
    }


def test_masked_frames_have_no_gradient_and_unlabelled_ones_only_that_of_the_fake_class():
    labels = make_labels()
    va, units, fake = (torch.randn(shape, requires_grad=True) for shape in SHAPES)
    for kind in losses.VA_LOSSES:
        sum(losses.real_loss(DiscriminatorOutput(va, units, fake), labels, kind).values()).backward()
        assert (va.grad[~labels["has_va"]] == 0).all() and (va.grad[labels["has_va"]] != 0).any()
        assert (units.grad[~labels["has_action_units"]] == 0).all()
        assert (units.grad[labels["has_action_units"]] != 0).all()
        assert (fake.grad != 0).all()
        va.grad = units.grad = fake.grad = None


@pytest.mark.parametrize("kind", losses.VA_LOSSES)
def test_what_is_masked_may_be_anything_and_changes_no_loss_and_no_gradient(kind):
    labels = make_labels()
    output = DiscriminatorOutput(*(torch.randn(shape, requires_grad=True) for shape in SHAPES))

    def terms_and_gradients():
        terms = losses.real_loss(output, labels, kind)
        return [*terms.values(), *torch.autograd.grad(sum(terms.values()), output)]

    clean = terms_and_gradients()
    labels["valence"][~labels["has_va"]] = torch.nan
    labels["action_units"][~labels["has_action_units"]] = torch.nan
    with torch.no_grad():
        output.va[~labels["has_va"]] = torch.inf
        output.action_units[~labels["has_action_units"]] = torch.nan
    assert all(map(torch.equal, clean, terms_and_gradients()))


@pytest.mark.parametrize("kind", losses.EXPRESSION_LOSSES)
def test_a_masked_expression_may_be_any_number(kind):
    labels = make_labels()
    logits, mask = torch.randn(6, 7, requires_grad=True), labels["has_expression"]
    results = []
    for junk in (0, -1, 99):
        loss = losses.expression_loss(logits, labels["expression"].where(mask, junk), mask, kind)
        results.append([loss, *torch.autograd.grad(loss, logits)])
        with torch.no_grad():
            logits[~mask] = torch.nan
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@given(PAIRS, st.randoms())
def test_a_mask_leaves_the_loss_of_what_is_labelled(pair, random):
    """Of all losses; against the same numbers with the masked ones taken out."""
    x, y = map(tensor, pair)
    mask = torch.tensor([random.random() < 0.6 for _ in x])
    assume(mask.any())

    def all_losses(x, y, va, turned, mask):
        units, wide = x[:, None].expand(-1, 8), None if mask is None else mask[:, None].expand(-1, 8)
        found = [losses.ccc(x, y, mask), losses.au_loss(units, (units > 0).double(), wide)]
        found += [losses.va_loss(va, turned, mask, kind) for kind in losses.VA_LOSSES]
        classes = units[:, :7], (y > 0).long()
        found += [losses.expression_loss(*classes, mask, kind) for kind in losses.EXPRESSION_LOSSES]
        return torch.stack(found)

    va = torch.stack([x, y], 1)
    given_all = x, y, va, va.flip(0)
    of_some = all_losses(*(values[mask] for values in given_all), None)
    torch.testing.assert_close(all_losses(*given_all, mask), of_some, rtol=1e-9, atol=1e-12)


def test_nothing_labelled_costs_nothing_and_one_label_what_it_costs_alone():
    labels = make_labels()
    for name in ("has_va", "has_action_units", "has_expression"):
        labels[name] = torch.zeros_like(labels[name])
    for kind in losses.VA_LOSSES:
        output = DiscriminatorOutput(torch.randn(6, 2, requires_grad=True), torch.randn(6, 8), torch.zeros(6))
        terms = losses.real_loss(output, labels, kind)
        terms["va"].backward()
        assert terms["va"] == 0 and terms["au"] == 0 and (output.va.grad == 0).all()
    logits, target, mask = torch.randn(6, 7), labels["expression"], labels["has_expression"]
    assert losses.expression_loss(logits, target, mask) == 0
    mask[2] = True
    alone = torch.nn.functional.cross_entropy(logits[2], target[2])
    assert losses.expression_loss(logits, target, mask).item() == pytest.approx(alone.item())


def test_labels_of_generated_images_are_smoothed():
    zeros = DiscriminatorOutput(torch.zeros(4, 2), torch.zeros(4, 8), torch.full((4,), np.log(9.0)))
    terms = losses.fake_images_loss(zeros, va_kind="mse")
    assert terms["va"].item() == pytest.approx(0.01**2)
    assert terms["au"].item() == pytest.approx(np.log(2))
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))  # the least there is: the sigmoid of log 9 is 0.9
    assert terms["fake"].item() == pytest.approx(entropy)


def test_a_discriminator_of_one_task_has_one_term():
    labels = make_labels()
    no_va = DiscriminatorOutput(None, torch.zeros(6, 8), torch.zeros(6))
    no_units = DiscriminatorOutput(torch.zeros(6, 2), None, torch.zeros(6))
    assert set(losses.real_loss(no_va, labels)) == {"au", "fake"}
    assert set(losses.fake_images_loss(no_units)) == {"va", "fake"}


def test_real_images_are_to_be_called_real():
    logit = torch.randn(6)
    terms = losses.real_loss(DiscriminatorOutput(None, None, logit), make_labels())
    assert terms["fake"].item() == pytest.approx(-np.log(1 - expit(logit.numpy())).mean(), rel=1e-5)


# Eq. 6


def test_expression_losses_are_the_formulas():
    logits, classes = RNG.normal(size=(10, 7)), RNG.integers(0, 7, 10)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = {
        "cross_entropy": log_loss(classes, softmax, labels=range(7)),
        "mse_before_softmax": np.mean((logits - np.eye(7)[classes]) ** 2),
        "mse_after_softmax": np.mean((softmax - np.eye(7)[classes]) ** 2),
    }
    for kind, value in expected.items():
        sequences = tensor(logits.reshape(2, 5, 7)), torch.from_numpy(classes.reshape(2, 5))
        assert losses.expression_loss(*sequences, kind=kind).item() == pytest.approx(value), kind


def test_multitask_loss_weighs_its_two_terms():
    labels = {name: value.unflatten(0, (2, 3)) for name, value in make_labels().items()}
    output = AffWildOutput(torch.randn(2, 3, 2), torch.randn(2, 3, 7))
    mask = labels["has_expression"]
    alone = torch.nn.functional.cross_entropy(output.expression[mask], labels["expression"][mask]).item()
    target = torch.stack([labels["valence"], labels["arousal"]], dim=-1)
    va = losses.va_loss(output.va, target, labels["has_va"]).item()
    for weights in ((), (1, 0), (0, 1), (0.25, 0.75)):
        terms = losses.multitask_loss(output, labels, *weights)
        alpha, beta = weights or (0.5, 0.5)
        assert [terms["va"].item(), terms["expression"].item()] == pytest.approx([alpha * va, beta * alone])
    for weights in ((1.5, 0), (0, 1.5), (-0.5, 1)):
        with pytest.raises(ValueError, match="alpha"):
            losses.multitask_loss(output, labels, *weights)


@pytest.mark.parametrize("loss", [losses.va_loss, losses.expression_loss])
def test_an_unknown_kind_is_refused(loss):
    with pytest.raises(ValueError, match="none of"):
        loss(torch.zeros(2, 2), torch.zeros(2, 2), kind="l2")
