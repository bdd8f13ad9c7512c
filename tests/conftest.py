"""What all tests share: one thread, no network, no screen, repeatable properties, quick tests first."""

import os
import sys
from pathlib import Path

# Before NumPy and torch are loaded, here and in every process that a test starts: the workers share the cores
# already, and small networks on several threads mostly wait for each other.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import hypothesis
import matplotlib
import pytest

TESTS = Path(__file__).parent
OFFLINE = TESTS / "fixtures" / "offline"
LAST = ("slow", "browser", "notebook")

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Quick tests first: what is cheap to know should fail first. The tests of a file stay on one worker,
    which makes their fixtures once; the notebooks have groups of their own.
    """
    items.sort(
        key=lambda item: max([0, *(1 + LAST.index(m.name) for m in item.iter_markers() if m.name in LAST)])
    )
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}"))


@pytest.fixture(autouse=True)
def closed_figures():
    """The figures of a test are gone after it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


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


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """A folder of sound files of every kind; nobody writes into it."""
    from mishaps.good import make_good
    from mishaps.judge import contents

    folder = make_good(tmp_path_factory.mktemp("good"))
    before = contents(folder)
    yield folder
    assert contents(folder) == before
