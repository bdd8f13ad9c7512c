"""Directions in z: planted ones are found, and the rest against scikit-learn and NumPy."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from planted import NAMES, PlantedGenerator, orthonormal_axes, planted_directions, probabilities, read_blocks
from refusals import refused
from scipy.special import logit
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge

from affkit.checkpoints import load_checkpoint, model_key, save_checkpoint
from affkit.errors import UserError
from affkit.gan import Discriminator, GanNetConfig, Generator, sample_z
from affkit.labels import ACTION_UNITS, EXPRESSIONS, VA
from affkit.multitask import AffWildNet, AffWildNetConfig
from affkit.store import to_unit_range
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig, features_of
from affkit_lab.latent.direction_quality import (
    RANDOM,
    direction_table,
    identity_changes,
    leak_table,
    moved_faces,
)
from affkit_lab.latent.directions import (
    RIDGES,
    Directions,
    faces_at,
    learned_directions,
    principal_directions,
    read_directions,
    write_directions,
)
from affkit_lab.latent.predictors import JoinedPredictor, NetworkPredictor, log_odds
from affkit_lab.latent.z_arithmetic import (
    along,
    clip_z,
    neighbours,
    orthogonalize,
    random_direction,
    slerp,
    smooth,
    truncate,
    walk,
)

GAN_1 = "data_samples/weights/gan_1/generator.safetensors"
AXES = orthonormal_axes()
GENERATOR = PlantedGenerator(AXES)


def small_generator(configuration="1") -> Generator:
    torch.manual_seed(0)
    return Generator(GanNetConfig(configuration, width=0.05)).eval()


def rng_of(faces):
    return np.random.default_rng(int(faces.sum()) % 2**31)


def cosines(first, second):
    return (first * second).sum(axis=1)


@pytest.fixture(scope="module")
def shipped():
    return load_checkpoint(GAN_1, "generator")[0]


def test_planted_principal_directions_are_found_in_order_with_their_shares():
    generator = small_generator()
    convolution, norm = generator.layers[0], generator.layers[1]
    rng = np.random.default_rng(0)
    ways = np.linalg.qr(rng.normal(size=(100, 3)))[0]
    features = np.linalg.qr(rng.normal(size=(convolution.weight[0].numel(), 3)))[0]
    planted = (ways * [3.0, 2.0, 1.0]) @ features.T
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(planted).reshape(convolution.weight.shape))
        norm.bias.fill_(50.0)  # far from the bend of the ReLU
    found = principal_directions(generator, count=3, num_faces=4000)
    assert (np.abs(cosines(found.vectors, ways.T)) > 0.999).all()
    moved = sample_z(4000, 0).double().numpy() @ ways * [3.0, 2.0, 1.0]
    fractions = np.linalg.eigvalsh(np.cov(moved.T))[::-1]  # near to 9, 4 and 1
    np.testing.assert_allclose(found.table["explained"], fractions / fractions.sum(), atol=1e-3)
    np.testing.assert_allclose(found.table["fit"], 1, atol=1e-3)


def test_principal_directions_are_those_of_scikit_learn(shipped):
    z = sample_z(400, 0)
    seen = []
    hook = shipped.layers[2].register_forward_hook(lambda *args: seen.append(args[2].flatten(1)))
    with torch.no_grad():
        shipped(z)
    hook.remove()
    pca = PCA(4, svd_solver="full").fit(seen[0].double().numpy())
    scores = pca.transform(seen[0].double().numpy())
    weights = LinearRegression(fit_intercept=False).fit(z.double().numpy(), scores).coef_
    expected = []
    for row in weights:  # Gram-Schmidt
        rest = row - sum((row @ one) * one for one in expected)
        expected.append(rest / np.linalg.norm(rest))
    found = principal_directions(shipped, count=4, num_faces=400)
    assert found.names == ["PCA 1", "PCA 2", "PCA 3", "PCA 4"]
    assert (np.abs(cosines(found.vectors, np.array(expected))) > 0.99).all()
    np.testing.assert_allclose(found.table["explained"], pca.explained_variance_ratio_, rtol=0.05)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(4), atol=1e-9)


def test_their_signs_and_numbers_are_always_the_same_and_layers_can_be_chosen(shipped):
    found, again, deeper = (
        principal_directions(shipped, layer=layer, count=5, num_faces=200).vectors for layer in (1, 1, 2)
    )
    assert (found[np.arange(5), np.abs(found).argmax(axis=1)] > 0).all()
    np.testing.assert_array_equal(found, again)
    assert not np.allclose(deeper, found, atol=0.01)
    with pytest.raises(ValueError, match="the generator has 1 to 3"):
        principal_directions(shipped, layer=4)
    assert principal_directions(small_generator("2"), count=2, num_faces=50).vectors.shape == (2, 100)


def test_the_weights_are_those_of_ridge_regression_with_one_of_the_strengths():
    """Predictions of noise need a strong ridge; closed formula of scikit-learn's solution."""

    def noisy(faces):
        return read_blocks(faces) + rng_of(faces).normal(0, 0.5, (len(faces), 4))

    z = sample_z(500, 0)
    values = pd.concat([noisy(faces_at(GENERATOR, part.double().numpy())) for part in z.split(250)])
    found = learned_directions(GENERATOR, noisy, num_faces=500)
    x = z.double().numpy() - z.double().numpy().mean(axis=0)
    for name in NAMES:
        y = values[name].to_numpy() - values[name].mean()
        solutions = [np.linalg.solve(x.T @ x + ridge * np.eye(100), x.T @ y) for ridge in RIDGES]
        nearest = max(solutions, key=lambda w: w @ found[name] / np.linalg.norm(w))
        np.testing.assert_allclose(found[name], nearest / np.linalg.norm(nearest), atol=1e-4)
        assert found.table.at[name, "slope"] == pytest.approx(np.linalg.norm(nearest), rel=1e-4)
    assert (found.table["r2"] < 0.1).all()  # noise of 0.5 over a signal of 0.115


def test_fit_is_judged_on_faces_that_were_held_out():
    """Predictions without any tie to z: a regression with 100 weights fits them, but not new ones."""

    def chance(faces):
        return pd.DataFrame({"valence": rng_of(faces).normal(size=len(faces)), "always": 1.0})

    found = learned_directions(GENERATOR, chance, num_faces=300)
    assert found.names == ["valence"]  # what never changes has no direction
    z = sample_z(300, 0).double().numpy()
    values = pd.concat([chance(faces_at(GENERATOR, part)) for part in (z[:250], z[250:])])["valence"]
    assert Ridge(0.1).fit(z, values).score(z, values) > 0.2
    assert found.table["r2"].max() < 0.05


def test_log_odds_are_fitted_better_where_probabilities_hardly_move():
    def shy(faces):  # as a discriminator with smoothed labels: near 0.01
        return pd.DataFrame({"AU12": 1 / (1 + np.exp(5 - 12 * read_blocks(faces)["AU12"]))})

    plain = learned_directions(GENERATOR, shy, num_faces=600).table.loc["AU12"]
    odds = learned_directions(GENERATOR, log_odds(shy), num_faces=600).table.loc["AU12"]
    assert odds["r2"] > 0.97 > 0.8 > plain["r2"]
    assert odds["slope"] == pytest.approx(12 * 0.2, rel=0.05)


def test_planted_ones_are_found_and_apart_from_others_at_right_angles_to_them():
    mixed = AXES.copy()
    mixed[3] = AXES[3] + AXES[0]
    generator = PlantedGenerator(mixed)
    looks = planted_directions(AXES).some(["valence"])
    plain = learned_directions(generator, read_blocks, num_faces=500)
    assert plain.names == list(NAMES)
    assert (cosines(plain.vectors, planted_directions(mixed).vectors) > 0.99).all()
    assert (plain.table[["r2", "correlation"]] > 0.98).all(axis=None)
    found = learned_directions(generator, read_blocks, looks, num_faces=500)
    assert np.abs(found["AU12"] @ looks["valence"]) < 1e-9
    assert found["AU12"] @ (AXES[3] / 0.2) > 0.99
    assert found.table.at["AU12", "slope"] == pytest.approx(0.2, rel=0.03)


def test_the_table_says_what_a_step_does(feature_net):
    table = direction_table(GENERATOR, planted_directions(AXES), log_odds(probabilities), feature_net)
    np.testing.assert_allclose(table.loc[list(VA), "effect"], 0.2, atol=0.01)  # but for clipping
    np.testing.assert_allclose(table.loc[["AU4", "AU12"], "effect"], 4 * 0.2, atol=0.05)
    assert (table.loc[list(NAMES), "rises"] == 1).all()
    assert (table.loc[list(NAMES), "others"] < 0.1).all() and table["others"].max() < 0.3
    spread = 0.2 / np.sqrt(3)
    assert table.at["valence", "in_sd"] == pytest.approx(0.2 / spread, rel=0.15)
    assert (table["identity"] > 0).all() and np.isnan(table.at[RANDOM, "effect"])


def test_identity_is_a_share_of_the_distance_of_two_faces(feature_net):
    z = sample_z(40, 1).double().numpy() * 0.5
    vectors = [np.zeros(100), AXES[0], (np.roll(z, 1, axis=0) - z)[0]]
    points = [features_of(feature_net, faces)[0] for faces in moved_faces(GENERATOR, z, vectors)]
    nothing, something, other = identity_changes(points)
    assert nothing == 0 and 0 < something < 1
    assert 0.4 < other < 1.6  # to another face and back is about the distance of two


def test_a_leak_is_there_before_and_gone_after():
    mixed = AXES.copy()
    mixed[1] = 0.6 * AXES[0] + 0.8 * AXES[1]  # cosine of valence and arousal: 0.6
    generator, directions = PlantedGenerator(mixed), planted_directions(mixed)
    table = leak_table(generator, read_blocks, directions, "arousal", ["valence", "AU4"])
    assert list(table.index) == ["arousal", "valence", "AU4"]
    assert table.attrs["left"] == pytest.approx(0.8, abs=1e-6)
    step = np.sqrt(3)  # a step of one in standard deviations of the prediction, 0.2 / sqrt(3)
    np.testing.assert_allclose(table["before"], [step, 0.6 * step, 0], atol=0.25)
    assert table.at["valence", "before"] > 0.8
    np.testing.assert_allclose(table["after"], [0.8 * step, 0, 0], atol=0.15)
    assert table.at["valence", "after_each"] < 0.2 < table.at["valence", "before_each"]
    with pytest.raises(ValueError, match="nothing is left"):
        leak_table(generator, read_blocks, directions, "arousal", ["arousal", "AU4"])


def test_directions_are_picked_and_joined_by_name():
    truth = planted_directions(AXES)
    some = truth.some(["AU12", "valence"])
    both = some | truth.some(["AU4"])
    assert both.names == ["AU12", "valence", "AU4"] and "arousal" not in both
    np.testing.assert_array_equal(both.vectors, truth.vectors[[3, 0, 2]])
    np.testing.assert_array_equal(both["AU4"], truth["AU4"])
    with pytest.raises(ValueError):
        both | some
    with pytest.raises(ValueError):
        Directions(truth.vectors[:2], truth.table)


def test_a_file_gives_back_the_directions_of_its_generator_only(tmp_path):
    truth = planted_directions(AXES)
    path = write_directions(tmp_path / "d.safetensors", truth, "abc")
    found = read_directions(path, "abc")
    np.testing.assert_array_equal(found.vectors, truth.vectors)
    pd.testing.assert_frame_equal(found.table, truth.table)
    with refused("of another generator, not of def"):
        read_directions(path, "def")
    with refused("holds no directions"):
        read_directions(save_checkpoint(tmp_path / "g.safetensors", small_generator()), "abc")
    path.write_bytes(path.read_bytes()[:-50])
    with refused("damaged"):
        read_directions(path, "abc")


def test_the_key_changes_with_any_weight_and_with_the_configuration(tmp_path):
    generator = small_generator()
    key = model_key(generator)
    save_checkpoint(tmp_path / "g.safetensors", generator)
    assert model_key(load_checkpoint(tmp_path / "g.safetensors")[0]) == key
    with torch.no_grad():
        generator.layers[-2].bias[0] += 1e-3
    assert key not in (model_key(generator), model_key(small_generator("2")))


# The arithmetic of z


RNG = np.random.default_rng(0)
points = arrays(np.float64, 4, elements=st.floats(-1, 1, width=32))
fractions = st.floats(0, 1)


def angle(a, b):
    """Of two vectors, in radians, without the arc cosine's loss of digits."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))


@given(points, points, fractions)
def test_slerp_turns_and_grows_evenly_from_one_end_to_the_other(first, second, fraction):
    np.testing.assert_allclose(slerp(first, second, 0), first, atol=1e-6)
    np.testing.assert_allclose(slerp(first, second, 1), second, atol=1e-6)
    np.testing.assert_allclose(slerp(np.zeros(4), second, fraction), fraction * second, atol=1e-9)  # straight
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    assume(min(lengths) > 1e-2)
    found = slerp(first, second, fraction)
    length = (1 - fraction) * lengths[0] + fraction * lengths[1]
    assert np.linalg.norm(found) == pytest.approx(length, abs=1e-6)
    np.testing.assert_allclose(slerp(second, first, 1 - fraction), found, atol=1e-6)
    whole = angle(first, second)
    assume(1e-3 < whole < np.pi - 1e-3)
    assert angle(first, found) == pytest.approx(fraction * whole, abs=1e-5)
    assert np.linalg.matrix_rank(np.stack([first, second, found]), tol=1e-6) <= 2  # in the plane of both


@given(points, fractions, st.floats(0.1, 3))
def test_opposite_and_parallel_z_have_an_arc_too(first, fraction, factor):
    assume(np.linalg.norm(first) > 1e-2)
    parallel = slerp(first, factor * first, fraction)
    np.testing.assert_allclose(parallel, (1 - fraction + fraction * factor) * first, atol=1e-6)
    opposite = slerp(first, -factor * first, fraction)
    expected = (1 - fraction + fraction * factor) * np.linalg.norm(first)
    assert np.linalg.norm(opposite) == pytest.approx(expected, abs=1e-6)
    assert angle(first, opposite) == pytest.approx(fraction * np.pi, abs=1e-5)


def test_a_walk_meets_every_key_and_a_closed_one_comes_back():
    keys = sample_z(3, 0).double().numpy()
    path = walk(keys, steps=4)
    assert path.shape == (9, 100) and (np.abs(path) <= 1).all()
    np.testing.assert_allclose(path[::4], keys, atol=1e-9)
    around = walk(keys, steps=4, closed=True)
    assert len(around) == 12
    np.testing.assert_allclose(around[::4], keys, atol=1e-9)
    steps = np.linalg.norm(np.diff(np.concatenate([around, keys[:1]]), axis=0), axis=1)
    assert steps.max() < 2 * steps.min()  # nothing jumps, not at the seam either
    with pytest.raises(ValueError, match="two keys"):
        walk(keys[:1], steps=4)


@given(arrays(np.float64, (3, 6), elements=st.floats(-1, 1, width=32)), st.integers(0, 3))
def test_what_is_orthogonalized_is_at_right_angles_and_the_nearest_such_vector(rows, count):
    vector, locked = rows[0], np.concatenate([rows[1 : 1 + count], rows[1 : 1 + count]])  # dependent ones
    found = orthogonalize(vector, locked)
    sizes = np.linalg.svd(locked, compute_uv=False) if len(locked) else np.zeros(0)
    assume(not ((sizes > 1e-9 * sizes.max(initial=0)) & (sizes < 1e-3 * sizes.max(initial=0))).any())
    assert np.abs(locked @ found).max(initial=0) < 1e-5
    coefficients = np.linalg.lstsq(locked.T, vector, rcond=1e-6)[0]
    np.testing.assert_allclose(found, vector - locked.T @ coefficients, atol=1e-5 if len(locked) else 0)


def test_of_a_vector_among_the_locked_nothing_is_left():
    locked = RNG.normal(size=(3, 100))
    assert not orthogonalize(locked.sum(axis=0), locked).any()
    both = orthogonalize(np.stack([locked[0], RNG.normal(size=100)]), locked)
    assert not both[0].any() and both[1].any()


def test_truncated_along_and_around():
    z, across, down = RNG.uniform(-0.4, 0.4, 100), random_direction(RNG), random_direction(RNG)
    np.testing.assert_allclose(truncate(z, 0.25), z / 4)
    with pytest.raises(ValueError, match="not in"):
        truncate(z, 1.5)
    grid = neighbours(z, across, down, step=0.5, reach=2).reshape(5, 5, 100)
    np.testing.assert_allclose(grid[2, 2], z)
    np.testing.assert_allclose(grid[0, 4], z - 2 * 0.5 * down + 2 * 0.5 * across, atol=1e-12)
    far = along(z, across, [-30.0, 0.0, 30.0])
    np.testing.assert_allclose(far[1], z)
    assert np.abs(far).max() == 1  # clipped
    assert np.array_equal(clip_z(far), far)


def test_smoothing_is_a_mean_with_weights_of_a_bell():
    path = RNG.normal(size=(60, 3))
    found = smooth(path, 2.0)
    weights = np.exp(-0.5 * (np.arange(-8, 9) / 2.0) ** 2)
    expected = (weights[:, None] * path[22:39]).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(found[30], expected, atol=1e-9)
    np.testing.assert_array_equal(smooth(path, 0), path)


# Predictors


FACES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)


def seeded(network, config):
    torch.manual_seed(0)
    return network(config).eval()


def test_a_discriminator_also_says_what_is_fake_and_a_generator_reads_no_faces(tmp_path):
    discriminator = seeded(Discriminator, GanNetConfig("1", width=0.1))
    save_checkpoint(tmp_path / "d.safetensors", discriminator)
    table = NetworkPredictor(tmp_path / "d.safetensors")(FACES)
    with torch.no_grad():
        said = discriminator(torch.from_numpy(FACES / 127.5 - 1).float().permute(0, 3, 1, 2))
    assert list(table.columns) == [*VA, *ACTION_UNITS, "fake"]
    np.testing.assert_allclose(table["fake"], torch.sigmoid(said.fake), atol=1e-5)
    np.testing.assert_allclose(table["AU12"], torch.sigmoid(said.action_units[:, 4]), atol=1e-5)
    np.testing.assert_allclose(table["arousal"], said.va[:, 1].clamp(-1, 1), atol=1e-5)
    save_checkpoint(tmp_path / "g.safetensors", seeded(Generator, GanNetConfig("1", width=0.1)))
    with pytest.raises(UserError, match="g.safetensors: holds weights of generator, which reads no faces"):
        NetworkPredictor(tmp_path / "g.safetensors")


def test_a_sequence_network_reads_each_face_by_itself():
    net = seeded(AffWildNet, AffWildNetConfig(width=0.02, image_size=32, hidden=4))
    table = NetworkPredictor(net)(FACES)
    assert list(table.columns) == [*VA, *EXPRESSIONS]
    np.testing.assert_allclose(table[list(EXPRESSIONS)].sum(axis=1), 1, atol=1e-5)
    with torch.no_grad():
        alone = net(to_unit_range(FACES[3])[None, None])[0].va[0, 0]
    np.testing.assert_allclose(table.loc[3, list(VA)].astype(float), alone.clamp(-1, 1), atol=1e-5)


@pytest.mark.parametrize("network, config", [
    (FeatureNet, FeatureNetConfig(2, image_size=48, channels=4)),
    (AffWildNet, AffWildNetConfig(width=0.02, image_size=48, hidden=4)),
])  # fmt: skip
def test_faces_that_are_too_small_are_refused_or_enlarged_if_one_asks(network, config):
    net = seeded(network, config)
    with pytest.raises(UserError, match="32"):
        NetworkPredictor(net)(FACES)
    large = np.stack([cv2.resize(face, (48, 48)) for face in FACES])
    pd.testing.assert_frame_equal(NetworkPredictor(net, enlarge=True)(FACES), NetworkPredictor(net)(large))


def test_log_odds_leave_valence_and_arousal_and_stay_finite():
    table = pd.DataFrame({"valence": [0.2, -1.0], "AU12": [0.01, 0.9], "fake": [0.0, 1.0]})
    odds = log_odds(lambda faces: table)(FACES)
    assert odds["valence"].tolist() == [0.2, -1.0]
    np.testing.assert_allclose(odds["AU12"], logit([0.01, 0.9]))
    assert np.isfinite(odds["fake"]).all() and odds["fake"][0] < -10 < 10 < odds["fake"][1]
    assert table["AU12"].tolist() == [0.01, 0.9]  # the predictor's own table is not touched


def test_of_two_predictors_the_first_one_that_has_a_column_counts():
    asked = []

    def predictor(name, **values):
        def read(faces):
            asked.append(name)
            return pd.DataFrame({key: np.full(len(faces), value) for key, value in values.items()})

        return read

    faces = np.zeros((3, 8, 8, 3), np.uint8)
    joined = JoinedPredictor([predictor("a", AU1=1, AU2=2), predictor("b", valence=3, AU2=4)], faces)
    assert joined.columns == ["AU1", "AU2", "valence"]
    assert joined(faces).to_dict("list") == {"AU1": [1] * 3, "AU2": [2] * 3, "valence": [3] * 3}
    asked.clear()
    assert joined.only(["valence", "AU9"])(faces).columns.tolist() == ["valence"]
    assert asked == ["b"]  # the other one has nothing to say, and is not asked
