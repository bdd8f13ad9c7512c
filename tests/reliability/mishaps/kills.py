"""Real processes ended by SIGKILL at random moments; the same command then goes on to the same bytes."""

import hashlib
import multiprocessing
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from annotators import hear_all, mark_until_killed, start
from skimage import data
from tqdm import tqdm

from affkit.__main__ import main as affkit
from affkit.checkpoints import read_tensors
from affkit.video.video import write_video
from affkit_studio.annotate.project import Project
from mishaps.good import make_good
from mishaps.judge import contents

SECONDS = 300  # nothing here takes so long
PARTS = (".out.part", "out")  # where a command works, before or after it has its name

# The children are forks of a server that has imported all this: what is killed is work, not imports.
WARM = ["mishaps.kills", "lightning_fabric", "affkit.faces.extract", "affkit.train_gan"]
WARM += ["affkit.train_multitask", "affkit_lab.experiments.table_ix", "affkit_lab.figures.tables"]
WARM += ["affkit_render.corpus"]


@dataclass(frozen=True)
class Killed:
    """A command that is killed and goes on, writing into ``out`` of the folder that :func:`inputs` fills.

    ``same`` are the files, as a pattern in ``out``, that must end as they do without a kill; those of
    ``kept`` are done once they are there, and must not be written again.
    """

    name: str
    line: str
    same: str
    kept: str = ""


GAN = "train gan --data store --out out --steps 60 --save-every 3 --width 0.03 --device cpu --resume"
MTL = "train mtl --data store --out out --steps 40 --save-every 2 --width 0.03 --device cpu --resume"
IX = "experiment table-ix --data store --partition partition.json --out out --steps 6 --width 0.03 --seeds 0"
RENDER = "render -o out --subjects 3 --seconds 0.2 --width 160 --height 160"
COMMANDS = (
    Killed("convert", "convert clips -o out --labels labels", "**/*", "*.mp4"),
    Killed("faces", "faces clips/a.avi clips/b.avi clips/c.avi -o out --size 32", "**/*", "parts/*.csv"),
    Killed("render", RENDER, "**/*", "videos/*.mp4"),
    Killed("train gan", GAN, "*.safetensors"),
    Killed("train mtl", MTL, "*.safetensors"),
    Killed("experiment table-ix", f"{IX} --device cpu", "*.[cjm][sd]*", "runs/*/*/scores.json"),
)


def kill_all(num_kills: int, seed: int = 0) -> list[dict]:
    """A row for each command, and one for the annotation tool: kills, and what was not as it should be."""
    rng = np.random.default_rng(seed)
    processes = multiprocessing.get_context("forkserver")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, map(os.path.abspath, sys.path)))  # the server's
    processes.set_forkserver_preload(WARM)
    rows = []
    with TemporaryDirectory(prefix="affkit-kills-") as folder:
        inputs(Path(folder))
        for number, command in enumerate(tqdm(COMMANDS, desc="killed commands")):
            kills = num_kills // len(COMMANDS) + (number < num_kills % len(COMMANDS))
            rows.append(killed_row(processes, command, Path(folder), kills, rng))
        rows.append(project_row(Path(folder), max(2, num_kills // 4), rng))
    return rows


def killed_row(processes, command: Killed, folder: Path, kills: int, rng) -> dict:
    """Once undisturbed, then ``kills`` times killed and gone on with."""
    whole = folder / f"{command.name} undisturbed"
    first, seconds, _ = run(processes, command, folder, whole)
    expected = bytes_of(whole, command.same)
    violations, moments = [], []
    for k in range(kills):
        out, moment = folder / f"{command.name} {k}", float(rng.uniform(0, max(seconds - first, 0.05)))
        if run(processes, command, folder, out, moment)[2] != -9:  # it had ended by then
            out, moment = folder / f"{command.name} {k} at once", 0.0
            run(processes, command, folder, out, moment)
        done = [path for name in PARTS if command.kept for path in (out / name).glob(command.kept)]
        kept = {path: path.stat().st_mtime_ns for path in done}
        moments.append(moment)
        run(processes, command, folder, out)
        if bytes_of(out, command.same) != expected:
            violations.append(f"other bytes after a kill {moment:.2f} s after its start")
        lost = [path for path, when in kept.items() if path.exists() and path.stat().st_mtime_ns != when]
        violations += [f"{path.name} was made again" for path in lost]
    return row(command.name, kills, seconds, moments, violations)


def row(name: str, kills: int, seconds: float, moments: list[float], violations: list[str]) -> dict:
    found = {"command": name, "kills": kills, "undisturbed, s": round(seconds, 2)}
    found |= {"killed after, s": f"{min(moments):.2f} to {max(moments):.2f}" if moments else ""}
    return found | {"violations": "; ".join(violations)}


def run(processes, command: Killed, folder: Path, out: Path, moment: float | None = None):
    """Run a command, and kill it ``moment`` seconds after there is something to see.

    Gives the seconds until there was something to see in ``out``, the seconds in all, and the exit code.
    """
    out.mkdir(exist_ok=True)
    log = out.with_name(f"{out.name}.log")
    process = processes.Process(target=run_command, args=tuple(map(str, (folder, command.line, out, log))))
    process.start()
    began = time.perf_counter()
    while process.is_alive() and not any((out / name).exists() for name in PARTS):
        time.sleep(0.002)
    seen = time.perf_counter() - began
    process.join(SECONDS if moment is None else moment)
    if moment is not None:
        process.kill()
        process.join()
    elif process.exitcode != 0:
        words = log.read_text(errors="replace").strip().splitlines()
        raise RuntimeError(f"affkit {command.line}: exit code {process.exitcode}: {' | '.join(words[-3:])}")
    return seen, time.perf_counter() - began, process.exitcode


def run_command(folder: str, line: str, out: str, log: str) -> None:
    """In a process of its own: the command line, as if it had been typed in ``folder``."""
    with open(log, "a") as words:
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
    torch.set_num_threads(1)
    os.chdir(folder)
    sys.argv = ["affkit", *(f"{out}/out" if word == "out" else word for word in line.split())]
    affkit()


def bytes_of(out: Path, pattern: str) -> dict[str, str]:
    """What the files of ``pattern`` hold; nothing else may lie beside ``out`` in the end."""
    every, wanted = contents(out), {str(path.relative_to(out)) for path in (out / "out").glob(pattern)}
    same = {name: digest for name, digest in every.items() if name in wanted}
    same |= {name: digest_of_tensors(out / name) for name in wanted if name.endswith(".safetensors")}
    return same | {name: "" for name in every if not name.startswith("out")}


def digest_of_tensors(path: Path) -> str:
    """A digest of every bit of the weights and of the header, whose order in the file is by chance."""
    tensors, header = read_tensors(path)
    found = hashlib.sha256(repr(sorted(header.items())).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def inputs(folder: Path) -> None:
    """What is sound, and clips with faces and label lines."""
    make_good(folder)
    photo = data.astronaut()[:256, 100:356]
    for name in ("clips", "labels"):
        (folder / name).mkdir()
    for k, name in enumerate("abc"):
        frames = (np.roll(photo, i * (k + 1), axis=1) for i in range(40))
        write_video(folder / "clips" / f"{name}.avi", frames, fps=25, codec="mpeg4")
        lines = "\n".join(f"{i / 40},{-i / 40}" for i in range(40))
        (folder / "labels" / f"{name}.txt").write_text(f"valence,arousal\n{lines}\n")


def project_row(folder: Path, kills: int, rng) -> dict:
    """The file of the annotation tool: what was said to be saved is there after the kill."""
    path, violations, moments, saved = folder / "killed.affkit", [], [], 0
    shutil.copy(folder / "clips" / "a.avi", folder / "clip.avi")
    with Project.open(path) as project:
        num_frames = project.add_video(folder / "clip.avi").num_frames
    began = time.perf_counter()
    for _ in range(kills):
        saved = saved if saved < num_frames - 10 else 0
        process, pipe = start(mark_until_killed, path, saved)
        heard = [pipe.recv()]
        moments.append(float(rng.uniform(0, 0.02)))
        time.sleep(moments[-1])
        process.kill()
        process.join()
        last = [*heard, *hear_all(pipe)][-1]
        with Project.open(path) as opened:
            state = opened.session("clip", "Ada", "au").state()[0]
        violations += [] if state[: last + 1].all() else [f"frame {last} was said to be saved and is not"]
        saved = int(state.sum())
    return row("annotate, project file", kills, time.perf_counter() - began, moments, violations)
