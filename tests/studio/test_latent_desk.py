"""What the page of the latent browser is told: on a generator of which one knows what z does."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from live_generators import planted_explorer, save_run
from planted import orthonormal_axes, planted_directions, probabilities, read_blocks
from refusals import run_affkit
from stores import people_store

from affkit.checkpoints import load_checkpoint, model_key, save_checkpoint
from affkit.errors import UserError
from affkit.faces.pool import write_sheet
from affkit.gan import GanNetConfig, sample_z
from affkit.labels import Labels
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig
from affkit_lab.gan_evaluation.memorization import TrainingFaces
from affkit_lab.latent.directions import faces_at, write_directions
from affkit_studio.browse.explore import Explorer
from affkit_studio.browse.favourites import Favourites
from affkit_studio.browse.latent_browser import companions, latent_browser, open_faces
from affkit_studio.browse.latent_desk import LatentDesk
from affkit_studio.browse.latent_work import WORKS, Extras, Job
from affkit_studio.page_widget import encode_picture

pytestmark = pytest.mark.slow  # runs whole commands

SIZE = 16
TINY = GanNetConfig("1", width=0.02)


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
def test_a_change_sends_its_picture_and_can_be_undone(ask, kind, more):
    before, first = ask("open")
    reply, pictures = ask(kind, **more)
    assert reply["state"]["revision"] == 1 and reply["state"]["can_undo"]
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


def test_two_pages_see_each_other(ask):
    reply, _ = ask("open")
    assert "state" not in ask("poll", revision=reply["state"]["revision"])[0]
    ask("move", name="AU4", value=1.0)
    reply, pictures = ask("poll", revision=reply["state"]["revision"])
    assert reply["state"]["sliders"] == {"AU4": 1.0} and len(pictures) == 1


def test_neighbours_lie_around_the_face_and_can_be_gone_to(ask):
    _, first = ask("open")
    _, pictures = ask("neighbours", across="AU4", down="AU12", step=1.0)
    faces = faces_of(pictures)
    np.testing.assert_array_equal(faces[4], pixels(first))
    read = read_blocks(faces)
    assert (np.diff(read["AU4"].to_numpy().reshape(3, 3), axis=1) > 0.1).all()
    assert (np.diff(read["AU12"].to_numpy().reshape(3, 3), axis=0) > 0.1).all()
    _, pictures = ask("neighbour", index=8)
    np.testing.assert_array_equal(pixels(pictures), faces[8])


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


def test_a_file_of_favourites_edited_by_hand_is_told_in_one_line(ask, tmp_path):
    ask("keep", name="first")
    file = tmp_path / "favourites.json"
    file.write_text(file.read_text().replace("[0.", '["x", 0.', 1).replace("[-0.", '["x", -0.', 1))
    for kind, more in (("favourites", {}), ("keep", {"name": "second"}), ("show", {"name": "first"})):
        error = ask(kind, **more)[0]["error"]
        assert "favourites.json" in error and "favourite 1" in error and "\n" not in error
    assert "second" not in file.read_text()


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


def test_work_can_be_stopped_and_says_what_the_user_can_mend():
    def endless(progress):
        while True:
            progress(1, 2)

    def mendable(progress):
        raise UserError("a.png", "is empty", "copy it again")

    job = Job(endless)
    job.stop()
    job.wait(10)
    assert not job.running and job.result is None and job.error is None
    job = Job(mendable)
    job.wait(10)
    assert str(job.error) == "a.png: is empty; copy it again"


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
    with pytest.raises(UserError, match="of the feature|featurenet"):
        latent_browser(generator, features=generator)


def test_a_pool_and_a_store_are_training_faces(tmp_path):
    faces = np.random.default_rng(0).integers(0, 255, (32, 32, 32, 3), np.uint8)
    write_sheet(tmp_path / "faces_01.webp", faces)
    assert len(open_faces(tmp_path, 16)) == 32 and open_faces(tmp_path, 16).size == 16


def test_shipped_directions_belong_to_the_shipped_generators():
    for name in ("gan_1", "gan_2"):
        explorer = Explorer.open(f"data_samples/weights/{name}/generator.safetensors")
        table = explorer.directions.table
        assert {"valence", "arousal", "AU12", "PCA 1"} <= set(table.index)
        assert {"r2", "in_spreads", "identity", "explained"} <= set(table.columns)
        generator, _ = load_checkpoint(f"data_samples/weights/{name}/generator.safetensors", "generator")
        assert explorer.picture().shape == (generator.config.image_size,) * 2 + (3,)


def test_what_the_command_cannot_open_is_one_line_and_exit_code_2(tmp_path, capfd, monkeypatch):
    generator = save_run(tmp_path, TINY)
    torch.save({"weights": torch.zeros(2)}, tmp_path / "old.pt")
    (tmp_path / "cut.safetensors").write_bytes(generator.read_bytes()[:500])
    (tmp_path / "favourites.json").write_text('{"format": 1, "checkpoint": "another", "favourites": []}')
    mistakes = {
        ("--checkpoint", "old.pt"): "is a pickle",
        ("--checkpoint", "cut.safetensors"): "damaged",
        ("--checkpoint", "discriminator.safetensors"): "needed are those of generator",
        ("--checkpoint", "nothing.safetensors"): "no such file",
        ("--checkpoint", "generator.safetensors", "--data", "nowhere"): "nowhere",
        ("--checkpoint", "generator.safetensors", "--labels", "nowhere"): "nowhere",
        ("--checkpoint", "generator.safetensors", "--favourites", "favourites.json"): "another generator",
    }
    files = set(tmp_path.iterdir())
    for words, said in mistakes.items():
        words = [str(tmp_path / word) if word[0] != "-" else word for word in words]
        if "--favourites" not in words:
            words += ["--favourites", str(tmp_path / "new.json")]
        code, _, error = run_affkit(monkeypatch, capfd, "browse", "--no-browser", *words)
        assert code == 2 and said in error.strip().splitlines()[-1], error
    assert set(tmp_path.iterdir()) == files
