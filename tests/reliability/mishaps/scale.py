"""A million faces and two million lines of labels: seconds, and the most memory that was in use.

Each measurement has a process of its own, so that memory is its own. The crops of the simulated store are a
file with holes: as long as a real one, without the disk for it. Pages of a mapped file are not counted: the
system takes them back whenever it needs them.
"""

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from affkit.labelfiles.layouts import read_label_file
from affkit.labels import ACTION_UNITS, EXPRESSIONS

SIZE = 32  # pixels; only the length of a batch depends on it
BATCH = 64
MOST_GROWTH = 30  # MB, from ten batches to all of them


def scale_rows(quick: bool = False) -> tuple[list[dict], bool]:
    """The rows of the table, and whether reading all faces takes no more memory than reading some."""
    faces, lines = (100_000, 200_000) if quick else (1_000_000, 2_000_000)
    rows, fine = [], True
    with TemporaryDirectory(prefix="affkit-scale-") as folder:
        for num in (faces // 10, faces):
            simulate_store(Path(folder, f"store_{num}"), num)
            found = _measured("read_store", Path(folder, f"store_{num}"))
            what = f"a store of {num:,} faces: open it, read all in batches of {BATCH}"
            rows.append({"what": what} | found)
            fine &= found["growth while reading, MB"] <= MOST_GROWTH
        for task in ("va", "expr", "au"):
            path = Path(folder, f"{task}.txt")
            write_lines(path, task, lines)
            rows.append({"what": f"{lines:,} lines of labels, {task}"} | _measured("read_labels", path))
    return rows, fine


def simulate_store(path: Path, num: int) -> None:
    """A store of ``num`` faces of which few have pixels; 5,000 frames a video."""
    from affkit.store import COLUMNS, CROPS, FORMAT, INDEX, INFO

    path.mkdir()
    crops = np.lib.format.open_memmap(path / CROPS, "w+", np.uint8, (num, SIZE, SIZE, 3))
    crops[:: num // 100] = 127
    del crops
    with (path / INDEX).open("w") as index:
        index.write(",".join(COLUMNS) + ",valence,arousal,expression\n")
        for i in range(num):
            index.write(f"clip_{i // 5000},{i % 5000 + 1},0,1.0,1.0,9.0,9.0,0.9,0.25,-0.5,Neutral\n")
    (path / INFO).write_text(json.dumps({"format": FORMAT, "size": SIZE, "action_units": []}))


def write_lines(path: Path, task: str, num: int) -> None:
    headers = {"va": ("valence", "arousal"), "expr": EXPRESSIONS, "au": ACTION_UNITS}
    lines = {"va": ("0.125,-0.5", "-5,-5"), "expr": ("3", "-1")}
    lines["au"] = (",".join("01" * 4), ",".join(["-1"] * 8))
    path.write_text(",".join(headers[task]) + "\n" + "\n".join(lines[task] * (num // 2)) + "\n")


def _measured(what: str, path: Path) -> dict:
    code = f"import json, sys; from mishaps.scale import {what}; print(json.dumps({what}(sys.argv[1])))"
    folders = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def own_memory(what: str = "RssAnon") -> float:
    """Memory of this process that is no mapped file, MB; "VmHWM": the most ever, which is all macOS tells."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(rf"{what}:\s+(\d+)", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def read_store(path: str) -> dict:
    from affkit.store import FrameDataset, Store  # not above: torch is no part of reading labels

    before, start = own_memory(), time.perf_counter()
    dataset = FrameDataset(Store.open(path))
    opened = time.perf_counter() - start
    order = np.random.default_rng(0).permutation(len(dataset))
    memory = []
    for k in range(0, len(order), BATCH):
        dataset[order[k : k + BATCH]]
        if k // BATCH >= 10 and k // BATCH % 50 == 10:
            memory.append(own_memory())
    return _row(time.perf_counter() - start, max(memory) - before, opened, max(memory) - memory[0])


def read_labels(path: str) -> dict:
    before, start = own_memory(), time.perf_counter()
    assert len(read_label_file(Path(path).stem, Path(path)))
    return _row(time.perf_counter() - start, own_memory("VmHWM") - before)


def _row(seconds: float, memory: float, opened: float | None = None, growth: float | None = None) -> dict:
    return {
        "seconds": round(seconds, 2),
        "of these to open, s": "" if opened is None else round(opened, 2),
        "memory at most, MB": round(memory),
        "growth while reading, MB": "" if growth is None else round(growth, 1),
    }
