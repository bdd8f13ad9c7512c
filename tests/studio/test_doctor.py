"""``affkit doctor``: a sound folder has no finding; each fault has exactly its own."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from year_folders import FRAMES, YEARS, add_crops, add_video, label_lines, make_year, write

from affkit.errors import UserError
from affkit.labels import ACTION_UNITS
from affkit.store import INFO
from affkit.video.convert import JOURNAL
from affkit_studio.doctor import check_labels, check_pictures, listing
from affkit_studio.doctor.report import examine, page

CORPUS = Path(__file__).parents[2] / "data_samples" / "corpus"
ABAW5 = "5th ABAW Annotations"
VA = f"{ABAW5}/VA_Estimation_Challenge/Train_Set/alpha.txt"
HEADER = ("valence", "arousal")


def codes(root: Path) -> list[str]:
    return [finding.code for finding in examine(root).findings]


# ---- sound folders


@pytest.mark.parametrize("year", YEARS)
def test_a_sound_folder_has_no_finding_and_its_year_is_named(tmp_path, year):
    report = examine(make_year(tmp_path, year))
    assert (year.split()[0] if year != "Aff-Wild" else "Aff-Wild (2017)") in report.title
    assert "Nothing wrong was found." in page(report)


@settings(max_examples=10)
@given(st.sampled_from(YEARS), st.sampled_from((4, 9, 30)), st.data())
def test_every_sound_folder_is_counted_right(year, frames, data):
    missing = data.draw(st.integers(0, frames - 1))
    names = st.sampled_from(("alpha", "10-60-1280x720", "left_turn", "Zoë", "video 7", "映画"))
    names = data.draw(st.lists(names, min_size=2, max_size=5, unique=True))
    split = {"train": tuple(names[1:]), "validation": (names[0],)}
    with tempfile.TemporaryDirectory() as folder:
        report = examine(make_year(Path(folder), year, frames, missing, split))
    assert report.findings == []
    for row in report.rows:
        files = len(names) if row.subset == "all" else len(split[row.subset])
        assert row.files == files and row.lines == files * frames
        assert row.marked == files * missing
        assert row.labelled == row.with_video == row.with_crop == row.usable == files * (frames - missing)
    tasks = {"va"} if year == "Aff-Wild" else {"va", "expr", "au", "mtl"}
    assert {row.task for row in report.rows} == tasks


def test_minus_one_is_counted_as_a_value(tmp_path):
    make_year(tmp_path, "ABAW5")
    row = next(row for row in examine(tmp_path).rows if (row.task, row.subset) == ("va", "train"))
    # of 60 lines every fifth has an arousal of -1, and the last is marked instead: in each of three files
    assert row.extreme == 33 and row.labelled == 177 and row.marked == 3
    assert "44 labelled frames with a valence or an arousal of exactly -1" in page(examine(tmp_path))


def test_frames_without_a_picture_are_not_usable(tmp_path):
    make_year(tmp_path, "ABAW5")
    for number in (1, 2, FRAMES):  # the last frame has no label anyway
        (tmp_path / "cropped_aligned" / "gamma" / f"{number:05d}.jpg").unlink()
    shutil.rmtree(tmp_path / "videos")
    row = next(row for row in examine(tmp_path).rows if (row.task, row.subset) == ("expr", "validation"))
    assert (row.labelled, row.with_video, row.with_crop, row.usable) == (59, None, 57, 57)


def test_the_shipped_corpus_has_no_finding():
    report = examine(CORPUS)
    assert report.findings == []
    # the numbers of the datasheet
    rows = {row.task: row for row in report.rows}
    assert rows["au"].lines == 23_400 and rows["expr"].labelled == 16_802 and rows["va"].files == 71
    assert report.title.startswith("a corpus drawn by affkit")
    assert dict(report.facts)["more labels"] == "3 in coders, 8 in raters"


def test_the_shipped_clips_have_no_error():
    report = examine(CORPUS.parent / "clips")
    assert [finding.code for finding in report.findings] == ["video-variable", "video-turned", "video-rate"]


# ---- one fault each: the folder it is planted in, and how


def lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    write(path, change(path.read_text().splitlines()))


def longer(*files: str, by: int = 1, frames: int = FRAMES) -> Callable[[Path], None]:
    """Label files of another number of lines."""
    return lambda root: [write(root / file, label_lines("va", HEADER, frames + by)) for file in files]


def every(task: str) -> list[str]:
    return [f"{ABAW5}/{task}/Train_Set/{name}.txt" for name in ("alpha", "two_left", "two_right")]


def move(source: str, target: str) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / source).rename(root / target)

    return plant


def crops(name: str, numbers, form: str = "{:05d}.jpg") -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        shutil.rmtree(root / "cropped_aligned" / name)
        add_crops(root / "cropped_aligned" / name, numbers, form)

    return plant


def video(name: str, frames: int = FRAMES, **how) -> Callable[[Path], None]:
    return lambda root: add_video(root / "videos" / name, frames, **how)


def cut_video(root: Path) -> None:
    """An AVI of which 60% arrived."""
    (root / "videos" / "alpha.mp4").unlink()
    path = add_video(root / "videos" / "alpha.avi", codec="mjpeg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])


def text(file: str, content: str | bytes) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content if isinstance(content, bytes) else content.encode())

    return plant


def recoded(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda root: (root / VA).write_bytes(change((root / VA).read_bytes()))


def copied(source: str, target: str) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (root / source).is_dir() else shutil.copyfile)(root / source, root / target)

    return plant


def removed(*paths: str) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        for path in paths:
            shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()

    return plant


def both(*plants: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda root: [plant(root) for plant in plants]


def broken_store(root: Path) -> None:
    write(root / "store" / INFO, ['{"format": 1, "size": 32}'])


SUBJECTS = "video,person,subject\nalpha,,s1\ntwo,left,s2\ntwo,right,s3\ngamma,,s4\n"
UNEVEN = tuple(np.cumsum([0.02, 0.05] * (FRAMES // 2)).tolist())


def renamed(root: Path) -> None:
    """One person has an odd name in all places."""
    for path in [path for path in root.rglob("*") if path.stem == "alpha"]:
        path.rename(path.with_name(path.name.replace("alpha", "al:pha")))


FAULTS: list[tuple[str, str, Callable[[Path], None]]] = [
    ("archive", "ABAW5", text("batch2.zip", "PK")),
    ("broken-link", "ABAW5", lambda root: (root / "batch1").symlink_to(root / "gone")),
    ("broken-link", "ABAW5", lambda root: (root / "circle").symlink_to("circle")),
    ("link-loop", "ABAW5", lambda root: (root / "videos" / "all").symlink_to(root)),
    ("link-loop", "ABAW5", lambda root: (root / "above").symlink_to(root.parent)),
    ("unfinished", "ABAW5", text(f"clips/{JOURNAL}", "{}")),
    ("unfinished", "ABAW5", text(".store.part/parts/a.npy", "")),
    ("empty-folder", "ABAW5", lambda root: (root / "batch1").mkdir()),
    ("store-damaged", "ABAW5", broken_store),
    ("cannot-read", "ABAW5", text("VA_test_set_release.txt", "")),
    ("cannot-read", "ABAW5", text(f"{ABAW5}/VA_test_set_release.txt", "")),
    ("cannot-read", "ABAW5", text("subjects.csv", "video,who\nalpha,s1\n")),
    ("misnamed-folder", "ABAW5", copied(f"{ABAW5}/AU_Detection_Challenge", f"{ABAW5}/AU_Challenge")),
    ("misnamed-folder", "ABAW1", copied("VA_Set/Training_Set", "VA_Set/Learning_Set")),
    ("empty-set", "ABAW5", both(
        removed(VA, *every("VA_Estimation_Challenge")[1:]),
        text(f"{ABAW5}/VA_Estimation_Challenge/Train_Set/readme.md", ""),
    )),
    ("cannot-read", "ABAW5", both(copied(ABAW5, "coders/A1"), text("coders/A1/VA_test_set_release.txt", ""))),
    ("several-annotations", "ABAW5", copied(ABAW5, "3rd ABAW Annotations")),
    ("years-mixed", "ABAW5", move(ABAW5, "6th ABAW Annotations")),
    ("years-mixed", "ABAW5", move(f"{ABAW5}/VA_Estimation_Challenge", f"{ABAW5}/VA_Set")),
    ("set-missing", "ABAW5", removed(f"{ABAW5}/AU_Detection_Challenge/Validation_Set")),
    ("stray-labels", "ABAW5", copied(VA, f"{ABAW5}/VA_Estimation_Challenge/alpha.txt")),
    ("stray-labels", "ABAW5", copied(VA, "old/alpha.txt")),
    ("not-txt", "ABAW5", text(VA.replace(".txt", ".csv"), "valence,arousal\n0,0\n")),
    ("not-txt", "ABAW5", text(VA.replace("alpha.txt", "delta.TXT"), "valence,arousal\n0,0\n")),
    ("task-missing", "ABAW5", removed(f"{ABAW5}/AU_Detection_Challenge")),
    ("no-pictures", "ABAW5", removed("videos", "cropped_aligned")),
    ("encoding", "ABAW5", recoded(lambda data: data.decode().encode("utf-16"))),
    ("encoding", "ABAW5", recoded(lambda data: data.replace(b"0.5", b"0.5\xe9", 1))),
    ("no-frames", "ABAW5", recoded(lambda data: b"")),
    ("no-frames", "ABAW5", recoded(lambda data: b"valence,arousal\n")),
    ("no-header", "ABAW5", recoded(lambda data: data.partition(b"\n")[2])),
    ("no-partner", "Aff-Wild", removed("annotations/train/arousal/alpha.txt")),
    ("no-partner", "Aff-Wild", both(
        removed("annotations/train/valence/alpha.txt", "videos/alpha.mp4", "cropped_aligned/alpha"),
    )),
    ("halves-differ", "Aff-Wild", lambda root: lines(
        root / "annotations/train/arousal/alpha.txt", lambda lines: [*lines, "0.5"])),
    ("odd-name", "ABAW5", renamed),
    ("bad-line", "ABAW5", recoded(lambda data: data.replace(b"0.5", b"1.5", 1))),
    ("bad-line", "ABAW5", recoded(lambda data: data.replace(b"\n", b"\n\n", 1))),
    ("bad-line", "ABAW5", recoded(lambda data: data.replace(b"valence", b"Valence", 1))),
    ("bad-line", "Aff-Wild", lambda root: lines(
        root / "annotations/train/valence/alpha.txt", lambda lines: ["valence", *lines])),
    ("bad-line", "ABAW4", lambda root: lines(
        root / "ABAW4/training_set_annotations.txt", lambda lines: lines + lines[-1:])),
    ("columns-differ", "ABAW5", lambda root: write(
        root / VA.replace("VA_Estimation", "AU_Detection"), label_lines("au", ACTION_UNITS, FRAMES))),
    ("byte-order-mark", "ABAW5", recoded(lambda data: b"\xef\xbb\xbf" + data)),
    ("line-ends", "ABAW5", recoded(lambda data: data.replace(b"\n", b"\r\n"))),
    ("line-ends", "ABAW5", recoded(lambda data: data.replace(b"\n", b"\r"))),
    ("all-marked", "ABAW5", lambda root: write(root / VA, label_lines("va", HEADER, FRAMES, FRAMES))),
    ("in-two-sets", "ABAW5", copied(VA, VA.replace("Train", "Validation"))),
    ("in-two-sets", "ABAW5", text("subjects.csv", SUBJECTS.replace("s4", "s1"))),
    ("in-two-sets", "ABAW5", text(f"{ABAW5}/Valence_Arousal_Estimation_test_set_release.txt", "two\n")),
    ("across-tasks", "ABAW5", move(VA, VA.replace("Train", "Validation"))),
    ("same-video-in-two-sets", "ABAW5", copied("videos/alpha.mp4", "videos/gamma.mp4")),
    ("same-video", "ABAW5", copied("videos/alpha.mp4", "videos/two.mp4")),
    ("subjects-unknown", "ABAW5", text("subjects.csv", SUBJECTS + "delta,,s5\n")),
    ("subjects-missing", "ABAW5", text("subjects.csv", SUBJECTS.replace("alpha,,s1\n", ""))),
    ("one-line-more", "ABAW5", longer(VA)),
    ("one-line-less", "ABAW5", longer(VA, by=-1)),
    ("few-lines-differ", "ABAW5", longer(VA, by=4)),
    ("other-rate", "ABAW5", longer(VA, by=-10)),  # 50 lines for 2 seconds: 25 a second
    ("lines-far-off", "ABAW5", longer(VA, by=400)),
    ("tasks-differ", "ABAW5", both(removed("videos"), longer(VA, by=-3))),
    ("crops-from-zero", "ABAW5", crops("alpha", range(FRAMES))),
    ("crops-one-more", "ABAW5", crops("alpha", range(2, FRAMES + 2))),
    ("crops-beyond-lines", "ABAW5", crops("alpha", range(1, FRAMES + 9))),
    ("listed-without-crop", "ABAW4", crops("alpha", range(3, FRAMES + 1))),
    ("crop-names-padded", "ABAW5", crops("alpha", range(1, FRAMES + 1), "{:6d}.jpg")),
    ("crop-names-width", "ABAW5", crops("alpha", range(1, FRAMES + 1), "{:06d}.jpg")),
    ("crop-twice", "ABAW5", text("cropped_aligned/alpha/00001.png", "")),
    ("picture-names", "ABAW5", both(
        removed("cropped_aligned"),
        lambda root: add_crops(root / "frames" / "alpha", range(1, 4), "frame_{}.jpg"),
    )),
    ("video-unreadable", "ABAW5", text("videos/alpha.mp4", "no video")),
    ("video-cut", "ABAW5", cut_video),
    ("video-twice", "ABAW5", video("alpha.avi", FRAMES, codec="mjpeg")),
    ("video-rate", "ABAW5", video("alpha.mp4", fps=25)),
    ("video-variable", "ABAW5", video("alpha.mp4", times=UNEVEN)),
    ("video-turned", "ABAW5", video("alpha.mp4", FRAMES, rotation=90)),
    ("almost-same-name", "ABAW5", move("videos/alpha.mp4", "videos/Alpha.mp4")),
    ("almost-same-name", "ABAW5", move("cropped_aligned/two_left", "cropped_aligned/two left")),
    ("labels-without-video", "ABAW5", removed("videos/alpha.mp4")),
    ("labels-without-crops", "ABAW5", removed("cropped_aligned/two_left")),
    ("video-without-labels", "ABAW5", video("delta.mp4")),
    ("crops-without-labels", "ABAW5", lambda root: add_crops(root / "cropped_aligned/delta", range(1, 4))),
]  # fmt: skip


@pytest.mark.parametrize("code, year, plant", FAULTS, ids=[code for code, *_ in FAULTS])
def test_each_fault_has_its_own_finding_and_no_other(tmp_path, code, year, plant):
    root = make_year(tmp_path / "data", year)
    plant(root)
    report = examine(root)
    assert [finding.code for finding in report.findings] == [code]
    (finding,) = report.findings
    assert finding.where and "{" not in finding.what + finding.fix
    assert f"[{code}]" in page(report)


# ---- faults that take more to plant


def test_a_name_that_another_one_has_is_not_almost_the_same(tmp_path):
    split = {"train": ("1-1", "11"), "validation": ("gamma",)}
    make_year(tmp_path, "ABAW5", split=split)
    (tmp_path / "videos" / "1-1.mp4").unlink()
    assert codes(tmp_path) == ["labels-without-video"]


def test_a_folder_with_nothing_usable(tmp_path):
    write(tmp_path / "notes" / "readme.md", ["hello"])
    report = examine(tmp_path)
    assert [finding.code for finding in report.findings] == ["nothing-usable"] and report.commands == []
    assert report.title == "nothing that affkit knows"


def test_an_empty_folder(tmp_path):
    report = examine(tmp_path)
    assert [finding.code for finding in report.findings] == ["nothing-usable", "empty-folder"]
    assert report.title == "an empty folder"


def test_a_folder_that_may_not_be_opened(tmp_path, monkeypatch):
    root = make_year(tmp_path, "ABAW5")
    scandir = os.scandir

    def closed(folder):
        if Path(folder).name == "private":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    (root / "private").mkdir()
    monkeypatch.setattr(listing.os, "scandir", closed)
    assert codes(root) == ["no-permission"]
    with pytest.raises(UserError, match="cannot be opened"):
        examine(root / "private")


def test_one_set_of_a_layout(tmp_path):
    make_year(tmp_path, "ABAW5")
    report = examine((tmp_path / VA).parent)
    assert [finding.code for finding in report.findings] == ["inside-a-layout", "no-pictures"]
    assert ABAW5 in report.findings[0].what and report.rows[0].labelled == 3 * (FRAMES - 1)


def test_several_corpora_are_not_mixed(tmp_path):
    for name in ("one", "two"):
        make_year(tmp_path / name, "ABAW5")
    report = examine(tmp_path)
    found = [finding.code for finding in report.findings]
    assert "several-corpora" in found and "in-two-sets" not in found and report.rows == []
    assert report.commands == [f"affkit doctor --data {tmp_path / name}" for name in ("one", "two")]


SEPARATE = {"nothing-usable", "no-permission", "inside-a-layout", "several-corpora"}


def test_every_finding_has_a_test():
    source = "".join(Path(module.__file__).read_text() for module in (check_labels, check_pictures))
    found = set(check_labels._UNREADABLE) | set(re.findall(r'Finding\("([a-z-]+)"', source))
    assert {code for code, *_ in FAULTS} | SEPARATE == found
