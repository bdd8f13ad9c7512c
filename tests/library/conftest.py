"""What tests of label files share."""

import pytest


@pytest.fixture
def file(tmp_path):
    """Write a small file and give its path."""

    def write(content, name="labels.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
