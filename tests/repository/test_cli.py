"""The command line as a user meets it: exit codes, one line for a mistake, and what comes out."""

import json
import os
import shlex
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from refusals import run_affkit
from repository import ROOT
from skimage import data
from stores import people_store

from affkit.checkpoints import load_checkpoint, save_checkpoint
from affkit.faces.pool import SHEET_COLUMNS, write_sheet
from affkit.files import alone
from affkit.gan import Discriminator, GanNetConfig, Generator
from affkit.store import write_store
from affkit.video.video import write_video

pytestmark = pytest.mark.slow  # runs whole commands

COMMANDS = ["convert", "faces", "render", "doctor", "stats", "agree", "split", "annotate"]
COMMANDS += ["train gan", "train mtl", "train features", "evaluate", "evaluate gan", "generate", "predict"]
COMMANDS += ["browse", "page", "experiment table-ix", "experiment semi-supervised"]
COMMANDS += ["experiment enrich", "notebooks run", "notebooks times", "notebooks grade", "notebooks site"]


SHIPPED = ROOT / "data_samples" / "weights"
Answer = namedtuple("Answer", "returncode stdout stderr")


@pytest.fixture
def affkit(folder, monkeypatch, capfd):
    """Run a command in ``folder``, in this process: importing torch anew for each would take minutes."""
    monkeypatch.chdir(folder)
    return lambda line: Answer(*run_affkit(monkeypatch, capfd, *line.split()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    photo = data.astronaut()
    write_video(folder / "clip.mp4", (np.roll(photo, 2 * i, axis=1) for i in range(12)))
    config = GanNetConfig("1", width=0.1)
    save_checkpoint(folder / "generator.safetensors", Generator(config))
    save_checkpoint(folder / "discriminator.safetensors", Discriminator(config))
    (folder / "words.mp4").write_text("no video")
    (folder / "taken").mkdir()
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_of_the_command_itself(command, affkit):
    answer = affkit(f"{command} --help")
    assert answer.returncode == 0
    assert f"Example: affkit {command} " in " ".join(answer.stdout.split())


def test_help_names_every_command(affkit):
    answer = affkit("")
    assert answer.returncode == 0
    assert all(command.split()[0] in answer.stdout for command in COMMANDS)


MISTAKES = {  # of options all are tried in test_reliability_report.py
    "convert missing.mp4 -o out": "missing.mp4: no such file",
    "convert words.mp4 -o out": "words.mp4",
    "faces missing.mp4 -o out": "missing.mp4: no such file",
    "faces clip.mp4 -o taken": "taken: already exists",
    "faces clip.mp4 -o out --detector yunet:missing.onnx": "missing.onnx: no such file",
    "doctor --data missing": "missing: no such file or folder",
    "stats --data taken": "taken: no annotations in it",
    "agree taken -o out": "taken",
    "agree taken nowhere -o out": "taken",
    "split --data taken --sizes 1,1,1 -o out.json": "taken: no annotations in it",
    "annotate missing.mp4": "missing.mp4: no such file",
    "annotate clip.mp4 --project words.mp4": "words.mp4",
    "train gan --data nowhere --out out": "nowhere",
    "train mtl --data nowhere --out out": "nowhere",
    "train features --data nowhere --out out": "nowhere",
    "evaluate gan --run taken --data nowhere --features words.mp4": "nowhere",
    "generate --checkpoint missing.safetensors -o out.png": "missing.safetensors: no such file",
    "generate --checkpoint discriminator.safetensors -o out.png": "needed are those of generator",
    "generate --checkpoint words.mp4 -o out.png": "words.mp4",
    "generate --checkpoint generator.safetensors -o taken": "taken: already exists",
    "predict clip.mp4 -o out.csv --checkpoint generator.safetensors": "predicts nothing",
    "predict missing.mp4 -o out.csv --checkpoint discriminator.safetensors": "missing.mp4: no such file",
    "predict clip.mp4 -o out --checkpoint discriminator.safetensors --checkpoint discriminator.safetensors": (
        "discriminator.safetensors: tells "
    ),
    "predict clip.mp4 taken/../clip.mp4 -o out": "has the same name as clip.mp4",
    "predict clip.mp4 -o taken --checkpoint discriminator.safetensors": "taken: already exists",
    "predict clip.mp4 -o . --force --checkpoint discriminator.safetensors": "holds clip.mp4, and would be",
    "page --checkpoint missing.safetensors -o out.html": "missing.safetensors: no such file",
    "page --checkpoint words.mp4 -o out.html": "words.mp4",
    "page --checkpoint discriminator.safetensors -o out.html": "needed are those of generator",
    "page --checkpoint generator.safetensors --principal -o taken": "taken: already exists",
    "page --checkpoint generator.safetensors --reader words.mp4 -o out.html": "words.mp4",
    "notebooks run taken": "holds no notebook",
    "notebooks times taken": "holds no times.json",
    "notebooks site taken -o out": "holds no notebook",
    "notebooks site -o taken": "taken: already exists",
    "notebooks site --run nowhere -o out": "nowhere: no such folder",
    "convert clip.mp4 -o words.mp4/out": "words.mp4/out: words.mp4 is a file",
    "render -o words.mp4": "words.mp4: is a file",
    "faces clip.mp4 -o " + "x" * 300: "is too long a name",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_exit_code_2_and_leaves_nothing(line, folder, affkit):
    before = sorted(folder.rglob("*"))
    answer = affkit(line)
    (complaint,) = [text for text in answer.stderr.splitlines() if text.strip()]
    assert answer.returncode == 2 and complaint.startswith("affkit: ") and MISTAKES[line] in complaint
    assert sorted(folder.rglob("*")) == before


def done(answer: Answer) -> str:
    """What a command that went well has printed."""
    assert answer.returncode == 0 and "Traceback" not in answer.stderr, answer.stderr
    return answer.stdout


def test_generate_draws_the_same_picture_for_the_same_seed(folder, affkit):
    for name, seed in {"a.png": 1, "b.png": 1, "c.png": 2}.items():
        done(affkit(f"generate --checkpoint generator.safetensors --n 4 --seed {seed} -o {name}"))
    pictures = [(folder / name).read_bytes() for name in ("a.png", "b.png", "c.png")]
    assert pictures[0] == pictures[1] != pictures[2]


def test_a_page_is_written_once_and_shows_the_directions_there_are(folder, affkit):
    line = "page --checkpoint generator.safetensors --principal --title Ours -o pages/live.html"
    assert "pages/live.html" in done(affkit(line))
    page = (folder / "pages" / "live.html").read_text()
    assert "<h1>Ours</h1>" in page and '"PCA 20"' in page and '"AU12"' not in page
    answer = affkit(line)
    assert answer.returncode == 2 and "already exists" in answer.stderr
    done(affkit(f"{line} --force"))
    # without --principal it takes the directions beside the generator
    done(affkit(f"page --checkpoint {SHIPPED / 'gan_1' / 'generator.safetensors'} -o shipped.html"))
    page = (folder / "shipped.html").read_text()
    assert all(f'"name": "{name}"' in page for name in ("valence", "AU12", "Happiness", "PCA 1"))
    assert '"name": "fake"' not in page and "<h1>Faces from 100 numbers</h1>" in page


def test_a_process_ends_with_the_exit_code():
    line = [sys.executable, "-c", "from affkit.__main__ import main; main()", "paint"]
    run = subprocess.run(line, capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.startswith("affkit: No such command")


NO_STREAM = {  # what a shell does with the output: the exit code, and all that is seen of it
    "--help > /dev/full": (
        2,
        "affkit: the output: the disk is full; free some space and run the same command\n",
    ),
    "stats --data nowhere 2> /dev/full": (2, ""),
    "stats --data nowhere >&-": (
        2,
        "affkit: nowhere: no such folder; give the folder that holds the annotations\n",
    ),
    "stats --data '\u6620\u753b'": (
        2,
        "affkit: \\u6620\\u753b: no such folder; give the folder that holds the annotations\n",
    ),
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
@pytest.mark.parametrize("line", NO_STREAM)
def test_output_that_cannot_be_written_or_shown_is_no_traceback(line):
    command = f"{shlex.quote(sys.executable)} -m affkit {line}"
    env = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "1"}
    run = subprocess.run(["bash", "-c", command], capture_output=True, env=env)
    assert (run.returncode, run.stderr.decode("cp1252")) == NO_STREAM[line] and run.stdout == b""


@pytest.mark.parametrize(
    "line", ["convert clip.mp4 -o busy", "faces clip.mp4 -o busy", "split --data x -o busy"]
)
def test_while_one_command_writes_another_does_not(folder, affkit, line):
    with alone(folder / "busy"):
        answer = affkit(line)
    assert answer.returncode == 2 and answer.stderr.startswith(
        "affkit: busy: another affkit is writing to it"
    )
    assert answer.stderr.count("\n") == 1 and not (folder / "busy").exists()


def test_a_clip_is_read_into_a_table_or_a_folder(folder, affkit):
    """The whole way, from the clip over a GAN to here, is in test_install.py."""
    line = "predict clip.mp4 --checkpoint discriminator.safetensors"
    done(affkit(f"{line} -o table.csv"))
    for options in ("", "--no-video --force"):
        done(affkit(f"{line} -o said {options}"))
        assert (folder / "said" / "clip.mp4").is_file() == (not options)
        assert (folder / "said" / "table.csv").read_bytes() == (folder / "table.csv").read_bytes()
    assert pd.read_csv(folder / "table.csv")["frame"].tolist() == list(range(1, 13))


def test_a_video_without_a_face_is_one_line_and_no_folder(folder, affkit):
    write_video(folder / "wall.mp4", np.full((12, 240, 320, 3), 120, np.uint8))
    before = sorted(folder.rglob("*"))
    answer = affkit("predict wall.mp4 -o nobody --checkpoint discriminator.safetensors")
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith("affkit: wall.mp4: no face in any frame; ")
    assert "Traceback" not in answer.stderr and sorted(folder.rglob("*")) == before


def test_a_gan_is_trained_and_evaluated_on_a_part_of_the_people(folder, affkit):
    write_store(folder / "people", people_store(size=32))
    names = {"train": range(4), "test": range(4, 6)}
    sets = {part: {f"clip_{i}": None for i in numbers} for part, numbers in names.items()}
    subjects = {f"clip_{i}": f"subject_{i}" for i in range(6)}
    (folder / "part.json").write_text(json.dumps({"sets": sets, "subjects": subjects}))
    options = "--augment color,cutout --spectral-norm --save-every 1 --part part.json:train"
    evaluate = "evaluate gan --run gan --data people --features seen/features.safetensors --n 20"
    for line in (
        f"train gan --data people --out gan --steps 2 --width 0.1 {options}",
        "train features --data people --out seen --steps 2 --part part.json:test",
        f"{evaluate} --part part.json:train -o figures",
    ):
        printed = done(affkit(line))
    assert all(word in printed for word in ("FID", "diversity", "copies", "kappa", "generated", "real"))
    nearest = pd.read_csv(folder / "figures" / "nearest.csv")
    assert len(nearest) == 20 and nearest["features_row"].max() < 48  # the first four people
    assert {path.name for path in (folder / "gan").glob("grid*")} == {"grid_000001.png", "grid_000002.png"}
    printed = done(affkit(f"{evaluate} --part part.json:train --json"))
    assert set(json.loads(printed)["fid"]) == {"generated", "real"}
    for options, problem in {
        "--part part.json": "names no file or no set",
        "-o figures": "evaluation.csv: already exists",
    }.items():
        answer = affkit(f"{evaluate} {options}")
        assert answer.returncode == 2 and problem in answer.stderr


def test_a_gan_learns_from_a_pool_too_and_from_the_mse_of_generated_faces(folder, affkit):
    write_store(folder / "crowd", people_store(size=32))
    (folder / "strangers").mkdir()
    faces = np.random.default_rng(0).integers(0, 256, (SHEET_COLUMNS, 32, 32, 3), np.uint8)
    write_sheet(folder / "strangers" / "faces_01.webp", faces)
    line = "train gan --data crowd --out crowd_gan --steps 2 --width 0.1 --va-loss mse"
    done(affkit(f"{line} --pool strangers"))
    config = load_checkpoint(folder / "crowd_gan" / "discriminator.safetensors")[1]["config"]
    assert config["va_loss"] == config["fake_va_loss"] == "mse"
    assert (pd.read_csv(folder / "crowd_gan" / "log.csv")["fake_va"] != 1).all()  # the CCC with a constant
    answer = affkit(f"{line} --resume")
    assert answer.returncode == 2 and "other data" in answer.stderr  # without the pool it is another run
