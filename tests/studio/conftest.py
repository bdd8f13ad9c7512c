"""A project with a clip; one browser for the tests of a module, one JupyterLab for all of them."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from annotators import NUM_FRAMES
from browser import Lab, jupyterlab, running, watched_page
from videos import write_numbered

from affkit_studio.annotate.project import Project


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("clips") / "clip.mp4", NUM_FRAMES, size=(64, 48))


@pytest.fixture
def project(tmp_path, clip):
    """In a folder with a copy of the clip, open."""
    shutil.copy(clip, tmp_path / "clip.mp4")
    with Project.open(tmp_path / "faces.affkit") as project:
        project.add_video(tmp_path / "clip.mp4")
        yield project


@pytest.fixture(scope="module")
def browser(chromium):
    with running(chromium) as browser:
        yield browser


@contextmanager
def clean_page(browser, folder):
    """A watched page on which at the end nothing was complained about and nothing fetched from elsewhere."""
    with watched_page(browser, folder / "last.png") as watched:
        yield watched
        assert watched.faults_meant or (watched.errors == [] and watched.outside == [])


@pytest.fixture
def watched(browser, tmp_path):
    with clean_page(browser, tmp_path) as watched:
        yield watched


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory):
    root = tmp_path_factory.mktemp("lab")
    with jupyterlab(root, tmp_path_factory.mktemp("jupyter")) as address:
        yield root, address


@pytest.fixture
def lab(lab_server, watched, tmp_path):
    """JupyterLab over a folder of the test's own; its kernels are shut down afterwards."""
    root, address = lab_server
    (root / tmp_path.name).mkdir()
    yield Lab(root / tmp_path.name, address, watched)
    watched.page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
