"""What losses reward: against formulas, SciPy's minimiser, and the solutions of notebook 05."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize_scalar
from scipy.special import huber
from sklearn.metrics import log_loss, mean_squared_error
from solutions import solution_functions

from affkit import losses
from affkit_course.lessons.nb05 import stretched_predictions, typical_face

ANSWERS = solution_functions("05")
HUNDREDTHS = st.integers(-100, 100).map(lambda number: number / 100)
ROWS = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[hnp.arrays(np.float64, n, elements=HUNDREDTHS)] * 2, hnp.arrays(bool, n))
)


@pytest.mark.parametrize("delta", [1.0, 0.3, 0.05])
def test_the_typical_face_is_the_minimum_of_every_pixel(delta):
    rng = np.random.default_rng(0)
    faces = np.clip(rng.normal(0.3, 0.6, (41, 3, 2, 2)), -1, 1) ** 3  # skewed: mean and median differ
    found = typical_face(torch.from_numpy(faces), delta, steps=2000).numpy()
    for place in np.ndindex(3, 2, 2):
        values = faces[(slice(None), *place)]

        def cost(x, values=values):
            return huber(delta, x - values).mean()

        best = minimize_scalar(cost, bounds=(-1, 1), method="bounded", options={"xatol": 1e-9})
        assert cost(found[place]) <= best.fun + 1e-9


@pytest.mark.slow
def test_a_wide_delta_gives_the_mean_face_and_a_narrow_one_the_median():
    rng = np.random.default_rng(1)
    faces = torch.from_numpy(rng.beta(1, 3, (201, 3, 4, 4)))  # within [0, 1]: no difference above 1
    mean, median = faces.mean(dim=0), faces.median(dim=0).values
    torch.testing.assert_close(typical_face(faces), mean)
    narrow = typical_face(faces, delta=0.01, steps=3000)
    assert (narrow - median).abs().max() < 0.02 < 0.03 < (mean - median).abs().mean()


@pytest.mark.parametrize("known", [0.2, 0.5])
def test_stretched_predictions_are_the_formulas(known):
    factors = np.linspace(0, 3, 31)
    table = stretched_predictions(known, factors, range(4), n=20_000)
    assert table["seed"].nunique() == 4 and len(table) == 4 * 31
    mean = table.groupby("factor")[["mse", "ccc"]].mean()
    np.testing.assert_allclose(mean["mse"], 1 - known + known * (factors - 1) ** 2, atol=0.05)
    np.testing.assert_allclose(mean["ccc"], 2 * factors * known / (1 + factors**2 * known), atol=0.02)
    assert mean["mse"].idxmin() == pytest.approx(1, abs=0.11)
    assert mean["ccc"].idxmax() == pytest.approx(known**-0.5, abs=0.21)


@given(ROWS)
def test_solutions_are_the_library(rows):
    x, y, labelled = rows
    ccc = losses.ccc(torch.from_numpy(x), torch.from_numpy(y)).item()
    assert ANSWERS["ccc"](x, y) == pytest.approx(ccc, abs=1e-6)
    wanted = mean_squared_error(x[labelled], y[labelled]) if labelled.any() else 0
    assert ANSWERS["masked_mse"](x, np.where(labelled, y, np.nan), labelled) == pytest.approx(wanted)


@given(st.floats(0.01, 0.99), st.sampled_from([0, 1]))
def test_solution_of_the_cross_entropy_is_that_of_scikit_learn(probability, label):
    wanted = log_loss([label], [probability], labels=[0, 1])
    assert ANSWERS["cross_entropy"](probability, label) == pytest.approx(wanted)
