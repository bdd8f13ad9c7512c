"""Two processes on one CPU share each batch, and get what one process gets."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from small_experiment import memory_store

from affkit.errors import UserError
from affkit.loop import make_fabric
from affkit.store import write_store

pytestmark = pytest.mark.slow  # trains small networks

OPTIONS = ["--width", "0.02", "--steps", "3", "--device", "cpu", "--lr", "0.01"]


def train(store, out, *options, processes=1):
    """The command line in a process of its own, or in several."""
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    launch = several if processes > 1 else []
    command = [sys.executable, *launch, "-m", "affkit", "train", "mtl", "--data", store, "--out", out]
    return subprocess.run(
        [*map(str, command), *OPTIONS, *options], capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("options", [(), ("--frozen",)], ids=["end to end", "frozen"])
def test_two_processes_end_with_the_weights_of_one(tmp_path, options):
    store = write_store(tmp_path / "store", memory_store(frames=100)).path  # 14 sequences of 80 frames
    for name, processes in (("one", 1), ("two", 2)):
        done = train(store, tmp_path / name, *options, processes=processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("after 3 steps") == 1  # only one of them talks
    logs = [pd.read_csv(tmp_path / name / "log.csv") for name in ("one", "two")]
    np.testing.assert_allclose(*logs, rtol=1e-4)
    one, two = (load_file(tmp_path / name / "affwildnet.safetensors") for name in ("one", "two"))
    for name, weight in one.items():
        np.testing.assert_allclose(weight, two[name], atol=2e-4, err_msg=name)
    files = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("one", "two")]
    assert files[0] == files[1]


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    store = write_store(tmp_path / "store", memory_store(frames=100)).path
    done = train(store, tmp_path / "three", processes=3)
    assert "a batch of 10: cannot be shared by 3 processes" in done.stderr and done.returncode != 0
    assert not (tmp_path / "three").exists()


def test_work_for_one_process_says_so(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="torchrun: started 2 processes, and this work is for one"):
        make_fabric("cpu")
