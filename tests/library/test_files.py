"""Half-written files are never seen."""

import errno

import pytest

from affkit.errors import UserError
from affkit.files import check_output, existing_file, refuse_existing, unusable_path, write_beside


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


# Outputs, before the work


def test_an_output_that_can_be_written_is_given_back_and_nothing_is_made(tmp_path):
    (tmp_path / "old.csv").write_text("old")
    for name in ("new.csv", "new/below/it.csv", "old.csv"):
        assert check_output(tmp_path / name) == tmp_path / name
    assert check_output(tmp_path, folder=True) == check_output(tmp_path) == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]


def test_an_output_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "lost").symlink_to("nothing")
    for name, problem in {
        "file/below": "file is a file",
        "loop": "leads nowhere",
        "loop/below": "leads nowhere",
        "lost": "leads nowhere",
        "x" * 256: "too long",
        "new/" + "\N{GRINNING FACE}" * 64: "too long",  # 256 bytes
    }.items():
        for folder in (False, True):
            with pytest.raises(UserError, match=problem):
                check_output(tmp_path / name, folder)
    with pytest.raises(UserError, match="file: is a file"):
        check_output(tmp_path / "file", folder=True)


def test_an_output_in_a_folder_that_is_shut_is_refused(tmp_path, monkeypatch):
    def shut(**how):
        raise PermissionError(errno.EACCES, "Permission denied", str(how["dir"]))

    monkeypatch.setattr("affkit.files.tempfile.TemporaryFile", shut)  # the tests may be run by root
    with pytest.raises(UserError, match="out: may not be read or written"):
        check_output(tmp_path / "out")


def test_only_what_people_can_mend_is_told_of_a_path():
    assert str(unusable_path(OSError(errno.ELOOP, "loop", "a"))).startswith("a: is a link to itself")
    assert str(unusable_path(PermissionError(errno.EACCES, "no", "a"))).startswith("a: may not be")
    assert unusable_path(FileNotFoundError(errno.ENOENT, "not there", "a")) is None
    assert unusable_path(OSError(errno.EACCES, "no path in it")) is None


def test_a_link_that_leads_nowhere_is_there_already(tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    with pytest.raises(UserError, match="already exists"):
        refuse_existing(tmp_path / "link")
