"""Half-written files are never seen."""

import errno

import pytest

from affkit.errors import UserError
from affkit.files import existing_file, refuse_existing, write_beside


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), write_beside(target) as part:
        part.write_text("half")
        raise RuntimeError("stopped")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_good_write_replaces_and_keeps_the_suffix(tmp_path):
    target = tmp_path / "new folder" / "clip.mp4"
    with write_beside(target) as part:
        assert part.suffix == ".mp4" and part.parent == target.parent
        part.write_bytes(b"1")
    assert target.read_bytes() == b"1"
    assert list(target.parent.iterdir()) == [target]


def test_a_full_disk_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match="disk is full; free some space"), write_beside(tmp_path / "a.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_other_system_errors_are_not_hidden(tmp_path):
    with pytest.raises(PermissionError), write_beside(tmp_path / "a.csv"):
        raise PermissionError("read-only")


@pytest.mark.parametrize(
    "make, problem", [(None, "no such file"), ("folder", "not a file"), ("empty", "empty")]
)
def test_existing_file_says_what_is_wrong(tmp_path, make, problem):
    path = tmp_path / "clip.mp4"
    if make == "folder":
        path.mkdir()
    elif make == "empty":
        path.touch()
    with pytest.raises(UserError, match=problem):
        existing_file(path)


def test_refuse_existing(tmp_path):
    refuse_existing(tmp_path / "free")
    refuse_existing(tmp_path, force=True)
    with pytest.raises(UserError, match="--force"):
        refuse_existing(tmp_path)


def test_an_error_comes_back_whole_from_another_process():
    from joblib import Parallel, delayed

    def fail():
        raise UserError("a.mp4", "the file is empty", "copy it again")

    with pytest.raises(UserError) as caught:
        Parallel(n_jobs=2)(delayed(fail)() for _ in range(2))
    assert str(caught.value) == "a.mp4: the file is empty; copy it again"
