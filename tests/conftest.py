"""What all tests share: no network, no screen, repeatable properties, quick tests first."""

import os
import sys
from pathlib import Path

import hypothesis
import matplotlib
import pytest

TESTS = Path(__file__).parent
OFFLINE = TESTS / "fixtures" / "offline"

# This process and all that it starts stay on this machine.
sys.path.insert(0, str(OFFLINE))
sys.modules.pop("sitecustomize", None)
__import__("sitecustomize")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH")]))
# In this process only: a kernel chooses its own way to show figures.
matplotlib.use("agg")

# The same examples in every run, and no failure because a machine is busy.
hypothesis.settings.register_profile("affkit", deadline=None, derandomize=True)
hypothesis.settings.load_profile("affkit")


def pytest_collection_modifyitems(items):
    """Quick tests first: what is cheap to know should fail first."""
    last = ("slow", "notebook", "browser")
    items.sort(
        key=lambda item: max([0, *(1 + last.index(m.name) for m in item.iter_markers() if m.name in last)])
    )


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium. Without one the test is skipped, or fails where a browser is required."""
    from browser import find_chromium

    path = find_chromium()
    if path is None:
        message = "no Chromium found: install it (Debian: apt install chromium)"
        if os.environ.get("AFFKIT_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture
def one_thread():
    """torch on one thread: tiny networks are faster so, and their sums have one order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
