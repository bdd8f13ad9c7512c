"""The latent browser without its page, and what answers it: on a generator of which one knows what z does."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from live_generators import planted_explorer, save_run
from planted import NAMES, orthonormal_axes, planted_directions, probabilities, read_blocks
from refusals import refuses, run_affkit
from scipy.special import expit
from stores import people_store

from affkit.checkpoints import load_checkpoint, model_key, save_checkpoint
from affkit.gan import GanNetConfig, sample_z
from affkit.labels import Labels
from affkit.store import pictures
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig
from affkit_lab.gan_evaluation.memorization import TrainingFaces
from affkit_lab.latent.directions import Directions, faces_at, write_directions
from affkit_studio.browse.explore import Explorer
from affkit_studio.browse.favourites import Favourites
from affkit_studio.browse.latent_browser import companions, latent_browser, open_faces
from affkit_studio.browse.latent_desk import LatentDesk
from affkit_studio.browse.latent_work import WORKS, Extras, Job
from affkit_studio.page_widget import encode_picture

SIZE = 16
TINY = GanNetConfig("1", width=0.02)
AXES = orthonormal_axes()
MIXED = AXES.copy()
MIXED[1] = 0.6 * AXES[0] + 0.8 * AXES[1]  # arousal drags valence along


def blocks(browser: Explorer) -> np.ndarray:
    """Valence, arousal, AU4, AU12 as the picture shows them."""
    return read_blocks(browser.picture()[None]).to_numpy()[0]


def test_the_first_face_is_that_of_the_seed_and_predictions_are_those_of_the_predictors():
    browser = planted_explorer(seed=7)
    np.testing.assert_allclose(browser.z, sample_z(1, 7)[0].double())
    np.testing.assert_array_equal(browser.picture(), pictures(browser.generator, sample_z(1, 7))[0])
    predictions = browser.predictions()["blocks"]
    np.testing.assert_allclose(predictions[list(NAMES[:2])], blocks(browser)[:2])
    np.testing.assert_allclose(predictions[list(NAMES[2:])].astype(float), expit(4 * blocks(browser)[2:]))


def test_sliders_move_their_predictions_alone_and_come_back_from_beyond_the_cube():
    browser = planted_explorer(truncation=0.5)  # so that nothing is clipped
    before, z = blocks(browser), browser.z
    browser.move("AU4", 1.5)
    np.testing.assert_allclose(blocks(browser) - before, [0, 0, 1.5 * 0.2, 0], atol=0.03)
    browser.move("AU12", -1.0)
    np.testing.assert_allclose(blocks(browser) - before, [0, 0, 0.3, -0.2], atol=0.03)
    assert browser.state.sliders == {"AU4": 1.5, "AU12": -1.0}
    browser.move("AU12", 0.0)
    browser.move("AU4", 40.0)
    assert np.abs(browser.z).max() == 1
    browser.move("AU4", 0.0)
    np.testing.assert_allclose(browser.z, z, atol=1e-12)  # what was clipped is not lost
    browser.move("AU4", 1.0)
    browser.set_truncation(0.25)  # draws the face, not what the sliders did
    np.testing.assert_allclose(browser.z, z / 2 + browser.directions["AU4"])
    with pytest.raises(ValueError, match="not in"):
        browser.set_truncation(-0.1)
    assert browser.state.truncation == 0.25


def test_a_locked_direction_stands_still_and_nothing_jumps_when_it_is_locked():
    free = planted_explorer(MIXED)
    browser = Explorer(free.generator, free.directions, free.predictors)  # what is done to one is its own
    for one in (free, browser):
        one.set_truncation(0.4)
        one.move("arousal", 0.5)
    z, before = browser.z, blocks(browser)
    browser.lock("valence")
    np.testing.assert_array_equal(browser.z, z)
    for one in (free, browser):
        one.move("arousal", 2.0)
    assert blocks(free)[0] - before[0] == pytest.approx(1.5 * 0.6 * 0.2, abs=0.03)
    np.testing.assert_allclose(blocks(browser)[[0, 2, 3]], before[[0, 2, 3]], atol=0.015)
    assert blocks(browser)[1] - before[1] == pytest.approx(1.5 * 0.8 * 0.2, abs=0.03)
    z = browser.z
    browser.unlock("valence")
    np.testing.assert_array_equal(browser.z, z)
    assert browser.leaks("arousal").loc["arousal", "before"] > 0.5


def test_what_is_locked_cannot_be_moved_and_what_lies_within_the_locked_stands_still():
    browser = planted_explorer()
    browser.lock("AU4")
    refuses("AU4: is locked; unlock it to move it", browser.move, "AU4", 1.0)
    refuses("AU99: is no direction; there are valence", browser.move, "AU99", 1.0)
    truth = planted_directions(AXES)
    twin = Directions(truth.vectors[[2]], truth.table.loc[["AU4"]].rename(index={"AU4": "twin"}))
    browser.directions = truth | twin
    z = browser.z
    browser.move("twin", 3.0)
    np.testing.assert_array_equal(browser.z, z)


def test_locks_hold_while_single_numbers_of_z_are_set():
    browser = planted_explorer(truncation=0.5)
    browser.lock("valence")
    before = blocks(browser)
    index = int(np.abs(AXES[0]).argmax())
    browser.set_number(index, 0.9)
    assert browser.z[index] == pytest.approx(0.9)
    assert blocks(browser)[0] == pytest.approx(before[0], abs=0.02)
    browser.unlock("valence")
    others = np.delete(browser.z, index)
    browser.set_number(index, -0.3)
    assert browser.z[index] == pytest.approx(-0.3)
    np.testing.assert_allclose(np.delete(browser.z, index), others)


def test_settling_brings_locked_predictions_back_where_the_generator_is_bent():
    """The blocks bend together: a step at right angles to valence moves it nevertheless."""

    def curve(x):
        return torch.cat([x[:, :1] + 2 * x[:, 1:2] ** 2, x[:, 1:]], dim=1)

    browser = planted_explorer(curve=curve, truncation=0.3)
    browser.lock("valence")
    held = blocks(browser)[0]
    browser.move("arousal", 1.5)
    leaked = blocks(browser)
    assert abs(leaked[0] - held) > 0.1
    table = browser.settle()
    assert list(table.index) == ["valence"]
    np.testing.assert_allclose(table.loc["valence"], [held, leaked[0], blocks(browser)[0]], atol=1e-9)
    assert abs(blocks(browser)[0] - held) < 0.02
    np.testing.assert_allclose(blocks(browser)[1:], leaked[1:], atol=0.02)  # the move itself is kept
    browser.undo()
    assert blocks(browser)[0] == pytest.approx(held, abs=0.01)  # the move and its settling were one step
    browser.unlock("valence")
    assert browser.settle().empty


def test_a_click_in_the_plane_leads_there_and_a_drag_is_one_step():
    browser = planted_explorer(MIXED, truncation=0.5)
    start = browser.z
    for valence in (0.0, 0.1, 0.2):
        found = browser.seek(valence, -0.15)
    np.testing.assert_allclose(blocks(browser)[:2], [0.2, -0.15], atol=0.03)
    np.testing.assert_allclose(found.z, browser.z, atol=1e-12)
    np.testing.assert_allclose(found.prediction, blocks(browser)[:2], atol=1e-9)
    assert set(browser.state.sliders) == {"valence", "arousal"}
    browser.undo()
    np.testing.assert_array_equal(browser.z, start)
    # after something else a click starts from the face that is shown
    browser.seek(0.1, 0.1)
    browser.move("AU4", 1.0)
    moved = blocks(browser)
    browser.seek(-0.1, 0.0)
    np.testing.assert_allclose(blocks(browser), [-0.1, 0, moved[2], moved[3]], atol=0.03)
    browser.lock("AU4")
    browser.move("AU12", 0.5)
    browser.settle()
    browser.seek(0.1, 0.05)
    assert blocks(browser)[2] == pytest.approx(moved[2], abs=0.03)
    browser.lock("arousal")
    refuses("arousal: is locked", browser.seek, 0, 0)


def test_steps_are_taken_back_and_done_again_one_drag_at_a_time():
    browser = planted_explorer()
    assert not browser.can_undo and not browser.undo() and not browser.redo()
    shown = [browser.z]
    for step in (
        lambda: [browser.move("AU4", amount) for amount in np.linspace(0, 2, 50)],
        lambda: (browser.finish(), browser.move("AU4", 1.0)),
        lambda: browser.lock("AU12"),
        lambda: browser.new_face(5),
    ):
        step()
        shown.append(browser.z)
    for z in shown[-2::-1]:
        assert browser.undo()
        np.testing.assert_array_equal(browser.z, z)
    assert not browser.can_undo and not browser.undo()
    for z in shown[1:]:
        assert browser.redo()
        np.testing.assert_array_equal(browser.z, z)
    browser.undo()
    browser.move("valence", 1.0)
    assert not browser.can_redo and not browser.redo()


actions = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.sampled_from(NAMES), st.floats(-3, 3)),
        st.tuples(st.sampled_from(["lock", "unlock"]), st.sampled_from(NAMES)),
        st.tuples(st.just("set_truncation"), st.floats(0, 1)),
        st.tuples(st.just("set_number"), st.integers(0, 99), st.floats(-1, 1)),
        st.tuples(st.just("new_face"), st.integers(0, 9)),
        st.tuples(st.sampled_from(["finish", "reset", "undo", "redo"])),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(actions)
def test_whatever_is_done_z_stays_in_range_and_all_of_it_can_be_undone(done):
    browser = planted_explorer(MIXED)
    first = browser.z
    for name, *arguments in done:
        if name == "move" and arguments[0] in browser.state.locks:
            continue
        getattr(browser, name)(*arguments)
        assert browser.z.shape == (100,) and np.abs(browser.z).max() <= 1
    last, steps = browser.z, 0
    while browser.undo():
        steps += 1
    np.testing.assert_array_equal(browser.z, first)
    for _ in range(steps):
        assert browser.redo()
    np.testing.assert_array_equal(browser.z, last)


def test_a_new_face_keeps_locks_of_its_own_predictions_and_reset_clears_all():
    browser = planted_explorer()
    browser.lock("valence")
    browser.move("AU4", 1.0)
    browser.new_face(3)
    assert browser.state.sliders == {} and browser.state.seed == 3
    assert browser.state.locks["valence"] == pytest.approx(blocks(browser)[0])
    browser.move("AU12", 1.0)
    browser.set_truncation(0.5)
    browser.reset()
    np.testing.assert_allclose(browser.z, sample_z(1, 3)[0].double())
    assert browser.state.locks == {} and browser.state.sliders == {} and browser.state.truncation == 1
    favourite = sample_z(1, 50)[0].double().numpy()
    browser.set_truncation(0.5)
    browser.show(favourite)
    np.testing.assert_array_equal(browser.z, favourite)


def test_films_and_neighbours_keep_the_locks():
    browser = planted_explorer(MIXED, truncation=0.3)
    browser.lock("valence")
    browser.move("arousal", 1.0)
    path = browser.along("arousal", [-1.0, 1.0, 2.0])
    np.testing.assert_allclose(path[1], browser.z, atol=1e-12)
    read = read_blocks(browser.faces(path))
    assert np.ptp(read["valence"]) < 0.03 and np.ptp(read["arousal"]) > 0.4
    grid = browser.neighbours("arousal", "AU4", step=0.5)
    np.testing.assert_allclose(grid[4], browser.z, atol=1e-12)
    assert np.ptp(read_blocks(browser.faces(grid))["valence"]) < 0.03


@pytest.mark.slow
def test_it_opens_a_run_remembers_its_directions_and_enlarges_faces_for_a_larger_network(tmp_path):
    generator, file = save_run(tmp_path, replace(TINY, weight_std=0.2)), tmp_path / "learned.safetensors"
    browser = Explorer.open(generator, directions=file)
    assert {"valence", "AU12", "fake", "PCA 1", "PCA 20"} < set(browser.directions.names)
    looks, learned = browser.directions.vectors[11:21], browser.directions["AU12"]
    assert np.abs(looks @ learned).max() < 1e-9  # kept apart from the first ten principal directions
    browser.move("AU12", 1.0)
    browser.lock("PCA 1")
    assert browser.settle().empty and "discriminator" in browser.predictions()
    stamp, large = file.stat().st_mtime_ns, tmp_path / "large.safetensors"
    save_checkpoint(large, FeatureNet(FeatureNetConfig(2, image_size=48, channels=2)))
    again = Explorer.open(generator, [large], file)
    np.testing.assert_array_equal(browser.directions.vectors, again.directions.vectors)
    assert file.stat().st_mtime_ns == stamp
    assert again.predictions()["large"].index[0] == "valence"


def test_what_it_cannot_open_is_told_and_links_that_lead_nowhere_are_not_written_over(tmp_path):
    generator = save_run(tmp_path, TINY)
    refuses("generator, which reads no faces", Explorer.open, generator, [generator])
    for name, other in (("lost.safetensors", "gone.safetensors"), ("loop.safetensors", "loop.safetensors")):
        (tmp_path / name).symlink_to(other)
        refuses(f"{name}: no such file", Explorer.open, generator, directions=tmp_path / name)
        assert (tmp_path / name).is_symlink() and not (tmp_path / "gone.safetensors").exists()
    (tmp_path / "discriminator.safetensors").unlink()
    refuses("discriminator.safetensors: no such file", Explorer.open, generator)


# ---- what answers the page


class Asking:
    """A desk, asked as the page does."""

    def __init__(self, folder, extras=None):
        favourites = Favourites(folder / "favourites.json", "key")
        self.desk = LatentDesk(planted_explorer(seed=3), favourites, extras)
        self.asked = 0

    def __call__(self, kind, buffers=None, **more):
        self.asked += 1
        reply, pictures = self.desk.handle({"kind": kind, "token": self.asked, **more}, buffers)
        assert (reply["kind"], reply["token"]) == (kind, self.asked)
        return reply, pictures

    def work(self, what, buffers=None, **more):
        """Start work and wait for what comes out."""
        reply, _ = self("start", buffers, work=what, **more)
        if "error" not in reply:
            self.desk.job.wait(60)
            return self("job")
        return reply, []


def faces_of(pictures):
    return np.frombuffer(pictures[0], np.uint8).reshape(-1, SIZE, SIZE, 3)


def pixels(pictures, index=0):
    return faces_of(pictures)[index]


@pytest.fixture
def ask(tmp_path):
    return Asking(tmp_path)


def test_the_page_is_told_what_there_is(ask):
    reply, pictures = ask("open")
    facts = reply["facts"]
    assert [one["name"] for one in facts["directions"]] == ["valence", "arousal", "AU4", "AU12"]
    assert facts["directions"][2]["title"] == "brow lowerer"
    assert facts["seeks"] and not facts["near"] and not facts["projects"] and facts["clips"] == []
    np.testing.assert_array_equal(
        pixels(pictures), faces_at(ask.desk.explorer.generator, sample_z(1, 3).numpy())[0]
    )
    np.testing.assert_allclose(reply["state"]["z"], sample_z(1, 3)[0], atol=1e-4)
    names, values = zip(*ask("read")[0]["predictions"]["blocks"], strict=True)
    assert names[:2] == ("valence", "arousal")
    wanted = probabilities(ask.desk.explorer.picture()[None]).iloc[0]
    np.testing.assert_allclose(values, wanted[list(names)])


@pytest.mark.parametrize(("kind", "more"), [
    ("move", {"name": "AU4", "value": 1.5}),
    ("number", {"index": 7, "value": -0.25}),
    ("truncation", {"value": 0.5}),
    ("new", {"seed": 11}),
    ("seek", {"valence": 0.3, "arousal": -0.2}),
])  # fmt: skip
def test_a_change_sends_its_picture_is_seen_by_a_second_page_and_can_be_undone(ask, kind, more):
    before, first = ask("open")
    assert "state" not in ask("poll", revision=0)[0]
    reply, pictures = ask(kind, **more)
    assert reply["state"]["revision"] == 1 and reply["state"]["can_undo"]
    polled, seen = ask("poll", revision=0)
    assert (polled["state"], seen) == (reply["state"], pictures)
    explorer = ask.desk.explorer
    np.testing.assert_array_equal(pixels(pictures), faces_at(explorer.generator, explorer.z[None])[0])
    assert (pixels(pictures) != pixels(first)).any()
    if kind == "seek":
        found = read_blocks(pixels(pictures)[None]).iloc[0]
        np.testing.assert_allclose(found[["valence", "arousal"]].astype(float), [0.3, -0.2], atol=0.03)
    reply, pictures = ask("undo")
    assert reply["state"]["z"] == before["state"]["z"]
    np.testing.assert_array_equal(pixels(pictures), pixels(first))
    reply, again = ask("redo")
    assert reply["state"]["z"] != before["state"]["z"]


def test_what_is_locked_stays_and_says_so(ask):
    ask("lock", name="AU4")
    reply, _ = ask("move", name="AU4", value=1.0)
    assert "AU4: is locked; unlock it to move it" in reply["error"] and reply["state"]["sliders"] == {}
    reply, _ = ask("move", name="AU12", value=1.0)
    assert reply["state"]["locks"].keys() == {"AU4"} and reply["state"]["sliders"] == {"AU12": 1.0}
    assert ask("finish")[0]["state"]["locks"].keys() == {"AU4"}
    assert ask("unlock", name="AU4")[0]["state"]["locks"] == {}
    assert ask("reset")[0]["state"]["sliders"] == {}


@pytest.mark.slow
def test_favourites_and_the_film_between_them(ask, tmp_path):
    _, first = ask("open")
    reply, pictures = ask("keep", name="first")
    assert reply["favourites"] == ["first"]
    np.testing.assert_array_equal(pixels(pictures), pixels(first))
    assert "is a favourite" in ask("keep", name="first")[0]["error"]
    assert "needs two favourites" in ask("walk", names=["first"])[0]["error"]
    assert "none was shown yet" in ask("save", format="gif")[0]["error"]
    _, second = ask("new", seed=5)
    ask("keep", name="<b>second</b>")
    reply, film = ask("walk", names=["first", "<b>second</b>"])
    assert reply["frames"] == 21
    np.testing.assert_array_equal(pixels(film, 0), pixels(first))
    np.testing.assert_array_equal(pixels(film, 20), pixels(second))
    for number, kind in enumerate(("gif", "gif", "mp4", "png")):
        assert ask("save", format=kind)[0]["saved"] == f"film-0{2 if number == 1 else 1}.{kind}"
        assert (tmp_path / f"film-01.{kind}").stat().st_size > 100
    assert "no such kind" in ask("save", format="../x")[0]["error"]
    _, pictures = ask("show", name="first")
    np.testing.assert_array_equal(pixels(pictures), pixels(first))
    assert ask("remove", name="first")[0]["favourites"] == ["<b>second</b>"]
    assert "has no favourite 'first'" in ask("show", name="first")[0]["error"]
    reply, film = ask("along", name="AU12")
    rising = read_blocks(faces_of(film))["AU12"]
    assert reply["frames"] == len(rising) == 25 and (np.diff(rising) >= 0).all()


def test_work_that_was_not_prepared_is_refused(ask):
    for name, words in {"nearest": "--data STORE", "project": "--features FILE"}.items():
        assert words in ask.work(name, name="photo.png")[0]["error"]
    assert "no such clip" in ask.work("clip", name="clip_01")[0]["error"]
    assert "nothing else is locked" in ask.work("leaks", name="AU4")[0]["error"]
    assert f"ask for one of {', '.join(WORKS)}" in ask.work("__init__")[0]["error"]
    assert ask("job")[0]["running"] is False


@pytest.fixture
def net():
    torch.manual_seed(0)
    return FeatureNet(FeatureNetConfig(6, image_size=SIZE, channels=8, num_features=16)).eval()


def test_the_nearest_training_faces(tmp_path, net):
    store = people_store()
    ask = Asking(tmp_path, Extras(lambda: TrainingFaces(store, net), net))
    assert ask("open")[0]["facts"]["near"]
    reply, pictures = ask.work("nearest")
    wanted = TrainingFaces(store, net).nearest(ask.desk.explorer.picture(), 3)
    assert [one["who"] for one in reply["nearest"]] == wanted["who"].tolist()
    np.testing.assert_array_equal(pixels(pictures), store[wanted["row"][0]])


@pytest.mark.slow
def test_a_photograph_is_projected_or_refused(tmp_path, net):
    ask = Asking(tmp_path, Extras(feature_net=net))
    plain = encode_picture(np.full((80, 80, 3), 90, np.uint8))
    reply, _ = ask.work("project", [plain], name="wall.png")
    assert "wall.png: no face was found in it" in reply["error"]
    assert "not a picture that can be read" in ask.work("project", [b"no picture"], name="x.png")[0]["error"]
    frame = cv2.resize(open_faces("data_samples/pool", 96)[0], (192, 192))
    frame = cv2.copyMakeBorder(frame, 60, 60, 60, 60, cv2.BORDER_REPLICATE)
    reply, pictures = ask.work("project", [encode_picture(frame)], name="face.png")
    found = reply["projected"]
    error = pixels(pictures, 0).astype(float) - pixels(pictures, 1)
    assert found["pixel_error"] == pytest.approx(np.sqrt((error**2).mean()))
    assert found["pixel_ratio"] <= found["start_ratio"]
    _, shown = ask("found")
    np.testing.assert_array_equal(pixels(shown), pixels(pictures, 1))


@pytest.mark.slow
def test_a_clip_is_played_and_leaks_are_measured(tmp_path):
    valence = np.linspace(-0.3, 0.3, 40, dtype=np.float32)
    labels = replace(Labels.empty(40), valence=valence, has_va=np.ones(40, bool))
    ask = Asking(tmp_path, Extras(clips={"clip_01": labels}))
    reply, film = ask.work("clip", name="clip_01")
    frames = faces_of(film)
    assert reply["frames"] == len(frames) == len(reply["wanted"])
    np.testing.assert_allclose(read_blocks(frames)["valence"], np.array(reply["wanted"])[:, 0], atol=0.08)
    ask("lock", name="valence")
    reply, _ = ask.work("leaks", name="AU12")
    assert [row["name"] for row in reply["leaks"]] == ["AU12", "valence"]
    assert abs(reply["leaks"][1]["after"]) < 0.05 and reply["left"] == pytest.approx(1)
    assert ask("save", format="gif")[0]["saved"] == "film-01.gif"


def test_work_can_be_stopped():
    def endless(progress):
        while True:
            progress(1, 2)

    job = Job(endless)
    job.stop()
    job.wait(10)
    assert not job.running and job.result is None and job.error is None


@pytest.mark.slow
def test_networks_beside_the_generator_or_one_folder_up_are_found(tmp_path):
    (tmp_path / "gan").mkdir()
    generator, features = save_run(tmp_path / "gan", TINY), tmp_path / "features.safetensors"
    save_checkpoint(features, FeatureNet(FeatureNetConfig(2, image_size=16, channels=2)))
    key = model_key(load_checkpoint(generator, "generator")[0])
    write_directions(tmp_path / "gan" / "directions.safetensors", planted_directions(orthonormal_axes()), key)
    assert companions(generator, "cnn", "features") == [features]
    widget = latent_browser(
        generator, favourites=tmp_path / "new" / "favourites.json", data="data_samples/pool"
    )
    assert widget.desk.extras.feature_net is not None and (tmp_path / "new").is_dir()
    assert list(widget.desk.explorer.predictions()) == ["discriminator"]
    refuses("needed are those of featurenet", latent_browser, generator, features=generator)


@pytest.mark.slow
def test_shipped_directions_belong_to_the_shipped_generators():
    for name in ("gan_1", "gan_2"):
        explorer = Explorer.open(f"data_samples/weights/{name}/generator.safetensors")
        table = explorer.directions.table
        assert {"valence", "arousal", "AU12", "PCA 1"} <= set(table.index)
        assert {"r2", "in_sd", "identity", "explained"} <= set(table.columns)


@pytest.mark.slow
def test_what_the_command_cannot_open_is_one_line_and_exit_code_2(tmp_path, capfd, monkeypatch):
    save_run(tmp_path, TINY)
    (tmp_path / "taken.json").write_text('{"format": 1, "checkpoint": "another", "favourites": []}')
    monkeypatch.chdir(tmp_path)
    files = set(tmp_path.iterdir())
    for words, said in {
        "discriminator.safetensors": "needed are those of generator",
        "generator.safetensors --data nowhere": "nowhere",
        "generator.safetensors --labels nowhere": "nowhere",
        "generator.safetensors --favourites taken.json": "another generator",
    }.items():
        line = f"browse --no-browser --checkpoint {words}"
        code, _, error = run_affkit(monkeypatch, capfd, *line.split())
        assert code == 2 and said in error.strip().splitlines()[-1], error
    assert set(tmp_path.iterdir()) == files
