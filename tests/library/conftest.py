"""What several tests share: a label file, a small store, a corpus."""

import pytest
from people import thirty_videos
from stores import noise_store


@pytest.fixture
def file(tmp_path):
    """Write a small file and give its path."""

    def write(content, name="labels.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """40 faces of two videos; nothing changes them."""
    return noise_store(tmp_path_factory.mktemp("faces") / "store")


@pytest.fixture(scope="session")
def thirty():
    """A corpus in memory: 30 videos of 30 people, some of them in two."""
    return thirty_videos()
