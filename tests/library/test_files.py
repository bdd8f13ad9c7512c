"""Half-written files are never seen."""

import errno

import pytest
from joblib import Parallel, delayed
from refusals import refuses

from affkit.errors import UserError
from affkit.files import alone, check_output, existing_file, refuse_existing, unusable_path, write_beside


def test_a_good_write_replaces_and_a_failing_one_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), write_beside(target) as part:
        part.write_text("half")
        raise RuntimeError("stopped")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    target = tmp_path / "new folder" / "clip.mp4"
    with write_beside(target) as part:
        assert part.suffix == ".mp4" and part.parent == target.parent
        part.write_bytes(b"1")
    assert target.read_bytes() == b"1"
    assert list(target.parent.iterdir()) == [target]


def test_a_full_disk_is_told_in_one_line_and_other_system_errors_are_not_hidden(tmp_path):
    with pytest.raises(UserError, match="disk is full; free some space"), write_beside(tmp_path / "a.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())
    with pytest.raises(PermissionError), write_beside(tmp_path / "a.csv"):
        raise PermissionError("read-only")


def test_what_is_there_or_not_is_refused_also_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("nothing")
    for name, problem in {"none": "no such file", "folder": "not a file", "empty": "empty"}.items():
        refuses(problem, existing_file, tmp_path / name)
    refuse_existing(tmp_path / "free")
    refuse_existing(tmp_path, force=True)
    refuses("--force", refuse_existing, tmp_path)
    refuses("already exists", refuse_existing, tmp_path / "link")


def test_an_error_comes_back_whole_from_another_process():
    def fail():
        raise UserError("a.mp4", "the file is empty", "copy it again")

    with pytest.raises(UserError) as caught:
        Parallel(n_jobs=2)(delayed(fail)() for _ in range(2))
    assert str(caught.value) == "a.mp4: the file is empty; copy it again"


def test_an_output_that_can_be_written_is_given_back_and_nothing_is_made(tmp_path):
    (tmp_path / "old.csv").write_text("old")
    for name in ("new.csv", "new/below/it.csv", "old.csv"):
        assert check_output(tmp_path / name) == tmp_path / name
    assert check_output(tmp_path, folder=True) == check_output(tmp_path) == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]


def test_an_output_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
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
            refuses(problem, check_output, tmp_path / name, folder)
    refuses("file: is a file", check_output, tmp_path / "file", folder=True)

    def shut(**how):
        raise PermissionError(errno.EACCES, "Permission denied", str(how["dir"]))

    monkeypatch.setattr("affkit.files.tempfile.TemporaryFile", shut)  # the tests may be run by root
    refuses("out: may not be read or written", check_output, tmp_path / "out")


def test_only_what_people_can_mend_is_told_of_a_path():
    assert str(unusable_path(OSError(errno.ELOOP, "loop", "a"))).startswith("a: is a link to itself")
    assert str(unusable_path(PermissionError(errno.EACCES, "no", "a"))).startswith("a: may not be")
    assert unusable_path(FileNotFoundError(errno.ENOENT, "not there", "a")) is None
    assert unusable_path(OSError(errno.EACCES, "no path in it")) is None
    assert "the output: the disk is full" in str(unusable_path(OSError(errno.ENOSPC, "no path in it")))


def test_an_output_is_for_one_at_a_time(tmp_path):
    with alone(tmp_path / "out") as path, alone(tmp_path / "other"):
        refuses("out: another affkit is writing to it", alone(tmp_path / "x" / ".." / "out").__enter__)
    with alone(path):
        assert list(tmp_path.iterdir()) == []
