"""The commands that write files, small and quick: for tests of what they write and of what they refuse."""

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from mishaps.good import make_good
from mishaps.judge import run_in

from affkit.cli import main as affkit
from affkit.data.exchange import SUFFIXES, export_annotation, export_name
from affkit.data.project import Project
from affkit.learn.checkpoints import save_checkpoint
from affkit.learn.face_net import FaceNet, FaceNetConfig
from affkit.show.film_strip import write_film

SMALL = "--steps 2 --device cpu"
COMMANDS = {  # in this order: some read what others have written
    "convert": "convert one.mp4 -o clips --labels abaw6/annotations/VA_Estimation_Challenge",
    "faces": "faces one.mp4 -o found --size 32 --labels abaw6",
    "gan": f"train gan --data store --out gan --width 0.03 --save-every 1 {SMALL}",
    "mtl": "train mtl --data store --out mtl --width 0.05 --frozen --weights networks/small.safetensors "
    f"{SMALL}",
    "features": f"train features --data store --out seen {SMALL}",
    "table-ix": "experiment table-ix --data store --partition partition.json --out ix --width 0.03 --seeds 0 "
    f"{SMALL}",
    "predict": "predict one.mp4 -o said --checkpoint networks/affwildnet.safetensors",
    "generate": "generate --checkpoint gan/generator.safetensors --n 4 -o grid.png",
    "page": "page --checkpoint gan/generator.safetensors --principal -o page.html",
    "agree": "agree A1 A2 -o agreed",
    "stats": "stats --data abaw6 -o figures",
    "split": "split --data abaw6 --sizes 1,1,1 -o divided.json",
}


def write_all(folder: Path) -> Path:
    """Fill ``folder`` with sound files, and with what every command, a project and a film write."""
    make_good(folder)
    cnn = FaceNet(FaceNetConfig(3, width=0.05, image_size=32))
    save_checkpoint(folder / "networks" / "small.safetensors", cnn)
    for line in COMMANDS.values():
        answer = run_in(folder, line.split(), affkit, seconds=60)
        assert (answer.code, answer.failure) == (0, ""), f"{line}: {answer.stderr}{answer.failure}"
    with Project.open(folder / "project.affkit") as project:
        session = project.session("one", "Ada", "au")
        session.mark("AU4", 0, 5)
        for kind in SUFFIXES:
            export_annotation(session, folder / export_name(session, kind), kind)
    write_film(folder / "film.gif", np.zeros((3, 32, 32, 3), np.uint8))
    write_film(folder / "film.mp4", np.zeros((3, 32, 32, 3), np.uint8))
    return folder
