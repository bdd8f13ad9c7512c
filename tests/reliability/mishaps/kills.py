"""Real processes ended by SIGKILL at random moments; the same command then goes on to the same bytes."""

import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from mishaps.judge import contents

SECONDS = 300  # nothing here takes so long
NAMES_OF_PARTS = (".out.part", "out")  # where a command works, before or after it has its name

# The children are forks of a server that has imported all this: what is killed is work, not imports.
_WARM = ["torch", "lightning_fabric", "cv2", "av", "affkit.cli", "affkit.faces.extract"]
_WARM += ["affkit_lab.experiments.table_ix"]
_WARM += ["affkit_render.corpus", "affkit.train_gan", "affkit_lab.figures.tables", "mishaps.kills"]


@dataclass(frozen=True)
class Killed:
    """A command that is killed and goes on.

    Attributes
    ----------
    name:
        For the table.
    line:
        The command, which writes into ``out``; relative to the folder of :func:`inputs`.
    same:
        Which files, as patterns in ``out``, must end as they do without a kill.
    kept:
        Which files, once they are there, are done and must not be written again.
    """

    name: str
    line: str
    same: str
    kept: str


COMMANDS = (
    Killed("convert", "convert clips -o out --labels labels", "**/*", "*.mp4"),
    Killed("faces", "faces clips/a.avi clips/b.avi clips/c.avi -o out --size 32", "**/*", "parts/*.csv"),
    Killed(
        "render", "render -o out --subjects 3 --seconds 0.2 --width 160 --height 160", "**/*", "videos/*.mp4"
    ),
    Killed(
        "train gan",
        "train gan --data store --out out --steps 60 --save-every 3 --width 0.03 --device cpu --resume",
        "*.safetensors",
        "",
    ),
    Killed(
        "train mtl",
        "train mtl --data store --out out --steps 40 --save-every 2 --width 0.03 --device cpu --resume",
        "*.safetensors",
        "",
    ),
    Killed(
        "experiment table-ix",
        "experiment table-ix --data store --partition partition.json --out out --steps 6 --width 0.03 "
        "--seeds 0 --device cpu",
        "*.[cjm][sd]*",
        "runs/*/*/scores.json",
    ),
)


def kill_all(num_kills: int, seed: int = 0) -> list[dict]:
    """A row for each command, and one for the annotation tool: kills, and what was not as it should be."""
    rng = np.random.default_rng(seed)
    processes = multiprocessing.get_context("forkserver")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, map(os.path.abspath, sys.path))
    )  # also the server's
    processes.set_forkserver_preload(_WARM)
    share = np.full(len(COMMANDS), num_kills // len(COMMANDS))
    share[: num_kills % len(COMMANDS)] += 1
    rows = []
    with TemporaryDirectory(prefix="affkit-kills-") as folder, tqdm(total=num_kills, desc="kills") as bar:
        inputs(Path(folder))
        for command, kills in zip(COMMANDS, share, strict=True):
            rows.append(_row(processes, command, Path(folder), int(kills), rng, bar.update))
        rows.append(_project_row(processes, Path(folder), max(2, num_kills // 4), rng))
    return rows


def _row(processes, command: Killed, folder: Path, kills: int, rng, tick: Callable) -> dict:
    """Once undisturbed, then ``kills`` times killed and gone on with."""
    whole = folder / f"{command.name} undisturbed"
    start, seconds = _run(processes, command, folder, whole)
    expected = _bytes(whole, command.same)
    done, violations, moments = 0, [], []
    for k in range(kills):
        out = folder / f"{command.name} {k}"
        moment = float(rng.uniform(0, max(seconds - start, 0.05)))
        if not _kill(processes, command, folder, out, moment):
            moment, out = 0.0, folder / f"{command.name} {k} at once"
            _kill(processes, command, folder, out, moment)
        kept = {path: path.stat().st_mtime_ns for path in _finished(out, command.kept)}
        done += 1
        moments.append(moment)
        _run(processes, command, folder, out)
        if _bytes(out, command.same) != expected:
            violations.append(f"other bytes after a kill {moment:.2f} s after its start")
        lost = [path for path, when in kept.items() if path.exists() and path.stat().st_mtime_ns != when]
        violations += [f"{path.name} was made again" for path in lost]
        tick()
    row = {"command": command.name, "kills": done, "undisturbed, s": round(seconds, 2)}
    row |= {"killed after, s": f"{min(moments):.2f} to {max(moments):.2f}" if moments else ""}
    return row | {"violations": "; ".join(violations)}


def _run(processes, command: Killed, folder: Path, out: Path) -> tuple[float, float]:
    """Run to the end: seconds until there is something to see in ``out``, and in all."""
    process = _start(processes, command, folder, out)
    began = time.perf_counter()
    seen = _first_trace(process, out) - began
    process.join(SECONDS)
    if process.exitcode != 0:
        words = _log(out).read_text(errors="replace").strip().splitlines()
        raise RuntimeError(f"affkit {command.line}: exit code {process.exitcode}: {' | '.join(words[-3:])}")
    return seen, time.perf_counter() - began


def _kill(processes, command: Killed, folder: Path, out: Path, moment: float) -> bool:
    """Kill it ``moment`` seconds after there is something to see; False if it had ended by then."""
    process = _start(processes, command, folder, out)
    _first_trace(process, out)
    process.join(moment)
    process.kill()
    process.join()
    return process.exitcode == -9


def _start(processes, command: Killed, folder: Path, out: Path):
    out.mkdir(exist_ok=True)
    process = processes.Process(
        target=run_command, args=tuple(map(str, (folder, command.line, out, _log(out))))
    )
    process.start()
    return process


def _log(out: Path) -> Path:
    return out.with_name(f"{out.name}.log")


def run_command(folder: str, line: str, out: str, log: str) -> None:
    """In a process of its own: the command line, as if it had been typed in ``folder``."""
    import torch

    from affkit.cli import main

    with open(log, "a") as words:
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
    torch.set_num_threads(1)
    os.chdir(folder)
    sys.argv = ["affkit", *(f"{out}/out" if word == "out" else word for word in line.split())]
    main()


def _first_trace(process, out: Path) -> float:
    """Wait until the command has begun to write, or has ended; the time then."""
    while process.is_alive() and not any((out / name).exists() for name in NAMES_OF_PARTS):
        time.sleep(0.002)
    return time.perf_counter()


def _finished(out: Path, pattern: str) -> Iterator[Path]:
    """Files that are done, wherever the command keeps them until it ends."""
    for name in NAMES_OF_PARTS if pattern else ():
        yield from (out / name).glob(pattern)


def _bytes(out: Path, pattern: str) -> dict[str, str]:
    """What the files of ``pattern`` hold; nothing else may lie beside ``out`` in the end."""
    every, wanted = contents(out), {str(path.relative_to(out)) for path in (out / "out").glob(pattern)}
    beside = {name: "" for name in every if not name.startswith("out")}
    same = {name: digest for name, digest in every.items() if name in wanted}
    same |= {name: _of_tensors(out / name) for name in wanted if name.endswith(".safetensors")}
    return same | beside


def _of_tensors(path: Path) -> str:
    """A digest of every bit of the weights and of the header, whose order in the file is by chance."""
    from affkit.checkpoints import read_tensors

    tensors, header = read_tensors(path)
    found = hashlib.sha256(repr(sorted(header.items())).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def inputs(folder: Path) -> None:
    """Clips with faces and label lines, a store, and a partition of it."""
    from skimage import data

    from affkit.corpus.partition import Partition, write_partition
    from affkit.store import write_store
    from affkit.video.video import write_video
    from mishaps.good import NAMES, SETS, small_store

    photo = data.astronaut()[:256, 100:356]
    for k, name in enumerate("abc"):
        frames = (np.roll(photo, i * (k + 1), axis=1) for i in range(40))
        (folder / "clips").mkdir(exist_ok=True)
        write_video(folder / "clips" / f"{name}.avi", frames, fps=25, codec="mpeg4")
        (folder / "labels").mkdir(exist_ok=True)
        lines = "\n".join(f"{i / 40},{-i / 40}" for i in range(40))
        (folder / "labels" / f"{name}.txt").write_text(f"valence,arousal\n{lines}\n")
    write_store(folder / "store", small_store())
    videos = {subset: {name: None} for name, subset in SETS.items()}
    write_partition(folder / "partition.json", Partition(videos, {name: f"subject_{name}" for name in NAMES}))


def mark_until_killed(project: str, first: int, pipe) -> None:
    """In a process of its own: mark one frame after the other, and say so after each."""
    from affkit_studio.annotate.project import Project

    with Project.open(project) as opened:
        session = opened.session("a", "Ada", "au")
        for frame in range(first, 40):
            session.mark("AU1", frame, frame + 1)
            pipe.send(frame)


def _project_row(processes, folder: Path, kills: int, rng) -> dict:
    """The file of the annotation tool: what was said to be saved is there after the kill."""
    from affkit_studio.annotate.project import Project

    path, violations, saved = folder / "project.affkit", [], 0
    with Project.open(path) as project:
        project.add_video(folder / "clips" / "a.avi")
    began = time.perf_counter()
    for _ in range(kills):
        saved = saved if saved < 30 else 0
        here, there = processes.Pipe(duplex=False)
        process = processes.Process(target=mark_until_killed, args=(str(path), saved, there))
        process.start()
        there.close()
        heard = [here.recv()]
        time.sleep(float(rng.uniform(0, 0.02)))
        process.kill()
        process.join()
        while here.poll():
            try:
                heard.append(here.recv())
            except EOFError:
                break
        with Project.open(path) as opened:
            state = opened.session("a", "Ada", "au").state()[0]
        if not state[: heard[-1] + 1].all():
            violations.append(f"frame {heard[-1]} was said to be saved and is not")
        saved = int(state.sum())
    return {
        "command": "annotate, project file",
        "kills": kills,
        "undisturbed, s": round(time.perf_counter() - began, 2),
        "killed after, s": "0.00 to 0.02",
        "violations": "; ".join(violations),
    }
