"""``affkit doctor``: a sound folder has no finding, each fault has exactly its own; and its parts."""

import functools
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import add_pictures, numbered, video_kinds, write_numbered
from year_folders import FRAMES, YEARS, add_crops, add_video, label_lines, listed_lines, make_year, write

from affkit.errors import UserError
from affkit.faces import pool
from affkit.labelfiles.layouts import set_of_folder, task_of_folder
from affkit.labels import ACTION_UNITS
from affkit.store import INFO
from affkit.video.convert import JOURNAL
from affkit.video.video import Video
from affkit_studio.doctor import check_labels, check_pictures, listing
from affkit_studio.doctor.check_pictures import same_files
from affkit_studio.doctor.folder import SEVERITIES, Finding, VideoFile
from affkit_studio.doctor.listing import STORE_FILE, list_folder
from affkit_studio.doctor.report import examine, page

HEADER = ("valence", "arousal")
WORDS = {"va": "valence and arousal", "expr": "expressions", "au": "action units"}
CORPUS = Path(__file__).parents[2] / "data_samples" / "corpus"
ABAW5 = "5th ABAW Annotations"
VA = f"{ABAW5}/VA_Estimation_Challenge/Train_Set/alpha.txt"
PICTURES = st.tuples(st.integers(0, 99_999), st.sampled_from(["{:05d}.jpg", "{}.png", "{:6d}.JPG"]))


def codes(report) -> list[str]:
    return [finding.code for finding in report.findings]


def only(root: Path, code: str) -> Finding:
    return next(finding for finding in examine(root).findings if finding.code == code)


# ---- sound folders


@pytest.mark.parametrize("year", YEARS)
@settings(max_examples=2)
@given(st.sampled_from((4, 9, 30)), st.data())
def test_a_sound_folder_has_no_finding_and_is_named_and_counted_right(year, frames, data):
    missing = data.draw(st.integers(0, frames - 1))
    names = st.sampled_from(("alpha", "10-60-1280x720", "left_turn", "Zoë", "video 7", "映画"))
    names = data.draw(st.lists(names, min_size=2, max_size=5, unique=True))
    split = {"train": tuple(names[1:]), "validation": (names[0],)}
    with tempfile.TemporaryDirectory() as folder:
        report = examine(make_year(Path(folder), year, frames, missing, split))
    assert report.findings == [] and "Nothing wrong was found." in page(report)
    assert (year.split()[0] if year != "Aff-Wild" else "Aff-Wild (2017)") in report.title
    for row in report.rows:
        files = len(names) if row.subset == "all" else len(split[row.subset])
        assert row.files == files and row.lines == files * frames
        assert row.marked == files * missing
        assert row.labelled == row.with_video == row.with_crop == row.usable == files * (frames - missing)
    tasks = {"va"} if year == "Aff-Wild" else {"va", "expr", "au", "mtl"}
    assert {row.task for row in report.rows} == tasks


def test_minus_one_is_counted_as_a_value(tmp_path):
    report = examine(make_year(tmp_path, "ABAW5"))
    row = next(row for row in report.rows if (row.task, row.subset) == ("va", "train"))
    # of 60 lines every fifth has an arousal of -1, and the last is marked instead: in each of three files
    assert (row.extreme, row.labelled, row.marked) == (33, 177, 3)
    assert "44 labelled frames with a valence or an arousal of exactly -1" in page(report)


def test_gaps_in_crops_are_no_fault_but_frames_without_a_picture_are_not_usable(tmp_path):
    """A face that was not found leaves a gap, also at the beginning and at the end."""
    make_year(tmp_path, "ABAW5")
    for number in (1, 2, 30, FRAMES - 1, FRAMES):  # the last frame has no label anyway
        (tmp_path / "cropped_aligned" / "gamma" / f"{number:05d}.jpg").unlink()
    assert examine(tmp_path).findings == []
    for name in ("videos", "cropped_aligned/alpha"):  # of the three people to train on
        shutil.rmtree(tmp_path / name)
    rows = {row.subset: row for row in examine(tmp_path).rows if row.task == "expr"}
    found = {name: (row.labelled, row.with_video, row.with_crop, row.usable) for name, row in rows.items()}
    assert found == {"train": (3 * 59, None, 2 * 59, 2 * 59), "validation": (59, None, 55, 55)}


@pytest.mark.slow  # reads 71 videos
def test_the_shipped_corpus_has_no_finding_and_the_shipped_clips_have_no_error():
    report = examine(CORPUS)
    assert report.findings == []
    # the numbers of the datasheet
    rows = {row.task: row for row in report.rows}
    assert (rows["au"].lines, rows["expr"].labelled, rows["va"].files) == (23_400, 16_802, 71)
    assert report.title.startswith("a corpus drawn by affkit")
    assert dict(report.facts)["more labels"] == "3 in coders, 8 in raters"
    clips = examine(CORPUS.parent / "clips")
    assert codes(clips) == ["video-variable", "video-turned", "video-rate"]


# ---- one fault each: the folder it is planted in, and how

Plant = Callable[[Path], object]


def planted(work: Callable) -> Callable[..., Plant]:
    """What does ``work(root, ...)``, with all arguments but the folder given beforehand."""

    def plant(*what, **how) -> Plant:
        return lambda root: work(root, *what, **how)

    return plant


def new(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@planted
def text(root: Path, file: str, content: str | bytes = "") -> None:
    new(root / file).write_bytes(content if isinstance(content, bytes) else content.encode())


@planted
def recoded(root: Path, change: Callable[[bytes], bytes], file: str = VA) -> None:
    (root / file).write_bytes(change((root / file).read_bytes()))


@planted
def longer(root: Path, by: int = 1) -> None:
    """A label file of another number of lines."""
    write(root / VA, label_lines("va", HEADER, FRAMES + by))


@planted
def move(root: Path, source: str, target: str) -> None:
    (root / source).rename(new(root / target))


@planted
def copied(root: Path, source: str, target: str) -> None:
    (shutil.copytree if (root / source).is_dir() else shutil.copyfile)(root / source, new(root / target))


@planted
def removed(root: Path, *names: str) -> None:
    for path in (root / name for name in names):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@planted
def crops(root: Path, name: str, numbers, form: str = "{:05d}.jpg") -> None:
    shutil.rmtree(root / "cropped_aligned" / name, ignore_errors=True)
    add_crops(root / "cropped_aligned" / name, numbers, form)


@planted
def video(root: Path, name: str, **how) -> None:
    add_video(root / "videos" / name, **how)


def both(*plants: Plant) -> Plant:
    return lambda root: [plant(root) for plant in plants]


def cut(path: Path, fraction: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
    return path


def cut_video(root: Path) -> None:
    (root / "videos" / "alpha.mp4").unlink()
    cut(add_video(root / "videos" / "alpha.avi", codec="mjpeg"), 0.6)


SUBJECTS = "video,person,subject\nalpha,,s1\ntwo,left,s2\ntwo,right,s3\ngamma,,s4\n"
UNEVEN = tuple(np.cumsum([0.02, 0.05] * (FRAMES // 2)).tolist())
VALENCE, AROUSAL = (f"annotations/train/{name}/alpha.txt" for name in ("valence", "arousal"))


def renamed(root: Path) -> None:
    """One person has an odd name in all places."""
    for path in [path for path in root.rglob("*") if path.stem == "alpha"]:
        path.rename(path.with_name(path.name.replace("alpha", "al:pha")))


FAULTS: list[tuple[str, str, Plant]] = [
    ("archive", "ABAW5", text("batch2.zip", "PK")),
    ("broken-link", "ABAW5", lambda root: (root / "batch1").symlink_to(root / "gone")),
    ("broken-link", "ABAW5", lambda root: (root / "circle").symlink_to("circle")),
    ("link-loop", "ABAW5", lambda root: (root / "videos" / "all").symlink_to(root)),
    ("link-loop", "ABAW5", lambda root: (root / "above").symlink_to(root.parent)),
    ("unfinished", "ABAW5", text(f"clips/{JOURNAL}", "{}")),
    ("unfinished", "ABAW5", text(".store.part/parts/a.npy")),
    ("empty-folder", "ABAW5", lambda root: (root / "batch1").mkdir()),
    ("store-damaged", "ABAW5", text(f"store/{INFO}", '{"format": 1, "size": 32}')),
    ("cannot-read", "ABAW5", text("VA_test_set_release.txt")),
    ("cannot-read", "ABAW5", text(f"{ABAW5}/VA_test_set_release.txt")),
    ("cannot-read", "ABAW5", text("subjects.csv", "video,who\nalpha,s1\n")),
    ("misnamed-folder", "ABAW5", copied(f"{ABAW5}/AU_Detection_Challenge", f"{ABAW5}/AU_Challenge")),
    ("misnamed-folder", "ABAW1", copied("VA_Set/Training_Set", "VA_Set/Learning_Set")),
    ("empty-set", "ABAW5", both(
        removed(*(VA.replace("alpha", name) for name in ("alpha", "two_left", "two_right"))),
        text(VA.replace("alpha.txt", "readme.md")),
    )),
    ("cannot-read", "ABAW5", both(copied(ABAW5, "coders/A1"), text("coders/A1/VA_test_set_release.txt"))),
    ("several-annotations", "ABAW5", copied(ABAW5, "3rd ABAW Annotations")),
    ("years-mixed", "ABAW5", move(ABAW5, "6th ABAW Annotations")),
    ("years-mixed", "ABAW5", move(f"{ABAW5}/VA_Estimation_Challenge", f"{ABAW5}/VA_Set")),
    ("unknown-layout", "ABAW5", copied(Path(VA).parent, "10th ABAW Annotations/VA/learning")),
    ("set-missing", "ABAW5", removed(f"{ABAW5}/AU_Detection_Challenge/Validation_Set")),
    ("stray-labels", "ABAW5", copied(VA, f"{ABAW5}/VA_Estimation_Challenge/alpha.txt")),
    ("stray-labels", "ABAW5", copied(VA, "old/alpha.txt")),
    ("not-txt", "ABAW5", text(VA.replace(".txt", ".csv"), "valence,arousal\n0,0\n")),
    ("task-missing", "ABAW5", removed(f"{ABAW5}/AU_Detection_Challenge")),
    ("no-pictures", "ABAW5", removed("videos", "cropped_aligned")),
    ("encoding", "ABAW5", recoded(lambda data: data.decode().encode("utf-16"))),
    ("encoding", "ABAW5", recoded(lambda data: data.replace(b"0.5", b"0.5\xe9", 1))),
    ("no-frames", "ABAW5", text(VA)),
    ("no-frames", "ABAW5", text(VA, "valence,arousal\n")),
    ("no-header", "ABAW5", recoded(lambda data: data.partition(b"\n")[2])),
    ("no-partner", "Aff-Wild", removed(AROUSAL)),
    ("no-partner", "Aff-Wild", removed(VALENCE, "videos/alpha.mp4", "cropped_aligned/alpha")),
    ("halves-differ", "Aff-Wild", recoded(lambda data: data + b"0.5\n", AROUSAL)),
    ("odd-name", "ABAW5", renamed),
    ("bad-line", "ABAW5", recoded(lambda data: data.replace(b"0.5", b"1.5", 1))),
    ("bad-line", "ABAW5", recoded(lambda data: data.replace(b"\n", b"\n\n", 1))),
    ("bad-line", "ABAW5", recoded(lambda data: data.replace(b"valence", b"Valence", 1))),
    ("bad-line", "Aff-Wild", recoded(lambda data: b"valence\n" + data, VALENCE)),
    ("bad-line", "ABAW4", recoded(
        lambda data: data + data.splitlines(True)[-1], "ABAW4/training_set_annotations.txt")),
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
    ("one-line-more", "ABAW5", longer()),
    ("one-line-less", "ABAW5", longer(by=-1)),
    ("few-lines-differ", "ABAW5", longer(by=4)),
    ("other-rate", "ABAW5", longer(by=-10)),  # 50 lines for 2 seconds: 25 a second
    ("lines-far-off", "ABAW5", longer(by=400)),
    ("tasks-differ", "ABAW5", both(removed("videos"), longer(by=-3))),
    ("crops-from-zero", "ABAW5", crops("alpha", range(FRAMES))),
    ("crops-one-more", "ABAW5", crops("alpha", range(2, FRAMES + 2))),
    ("crops-beyond-lines", "ABAW5", crops("alpha", range(1, FRAMES + 9))),
    ("listed-without-crop", "ABAW4", crops("alpha", range(3, FRAMES + 1))),
    ("crop-names-padded", "ABAW5", crops("alpha", range(1, FRAMES + 1), "{:6d}.jpg")),
    ("crop-names-width", "ABAW5", crops("alpha", range(1, FRAMES + 1), "{:06d}.jpg")),
    ("crop-twice", "ABAW5", text("cropped_aligned/alpha/00001.png")),
    ("picture-names", "ABAW5", both(
        removed("cropped_aligned"),
        lambda root: add_crops(root / "frames" / "alpha", range(1, 4), "frame_{}.jpg"),
    )),
    ("video-unreadable", "ABAW5", text("videos/alpha.mp4", "no video")),
    ("video-cut", "ABAW5", cut_video),
    ("video-twice", "ABAW5", video("alpha.avi", codec="mjpeg")),
    ("video-rate", "ABAW5", video("alpha.mp4", fps=25)),
    ("video-variable", "ABAW5", video("alpha.mp4", times=UNEVEN)),
    ("video-turned", "ABAW5", video("alpha.mp4", rotation=90)),
    ("almost-same-name", "ABAW5", move("videos/alpha.mp4", "videos/Alpha.mp4")),
    ("almost-same-name", "ABAW5", move("cropped_aligned/two_left", "cropped_aligned/two left")),
    ("labels-without-video", "ABAW5", removed("videos/alpha.mp4")),
    ("labels-without-crops", "ABAW5", removed("cropped_aligned/two_left")),
    ("video-without-labels", "ABAW5", video("delta.mp4")),
    ("crops-without-labels", "ABAW5", crops("delta", range(1, 4))),
]  # fmt: skip


@pytest.mark.parametrize("code, year, plant", FAULTS, ids=[code for code, *_ in FAULTS])
def test_each_fault_has_its_own_finding_and_no_other(tmp_path, code, year, plant):
    root = make_year(tmp_path / "data", year)
    plant(root)
    report = examine(root)
    assert codes(report) == [code]
    (finding,) = report.findings
    assert finding.where and "{" not in finding.what + finding.fix
    assert f"[{code}]" in page(report)


# ---- faults that take more to plant


def test_a_name_that_another_one_has_is_not_almost_the_same(tmp_path):
    split = {"train": ("1-1", "11"), "validation": ("gamma",)}
    make_year(tmp_path, "ABAW5", split=split)
    (tmp_path / "videos" / "1-1.mp4").unlink()
    assert codes(examine(tmp_path)) == ["labels-without-video"]


def test_other_forms_of_names_suffixes_and_what_systems_leave_are_no_fault(tmp_path):
    make_year(tmp_path, "ABAW5", split={"train": ("Zo\u00eb", "b"), "validation": ("c",)})
    (tmp_path / VA).with_name("Zo\u00eb.txt").rename((tmp_path / VA).with_name("Zoe\u0308.TXT"))
    (tmp_path / "videos" / "Zo\u00eb.mp4").rename(tmp_path / "videos" / "Zoe\u0308.mp4")
    (tmp_path / "cropped_aligned" / "Zo\u00eb").rename(tmp_path / "cropped_aligned" / "Zoe\u0308")
    for name in (f"__MACOSX/{VA}", "videos/Thumbs.db", ".DS_Store", ".ipynb_checkpoints/a.txt"):
        write(tmp_path / name, ["\x05"])
    report = examine(tmp_path)
    assert codes(report) == [] and "other files" not in dict(report.facts)


def test_a_challenge_of_which_no_layout_is_known_is_named(tmp_path):
    for number in (9, 10):
        root = tmp_path / f"{number}th ABAW Annotations"
        write(root / "va" / "learning" / "alpha.txt", label_lines("va", HEADER, FRAMES))
        assert "unknown-layout" in codes(examine(root)) and "unknown-layout" in codes(examine(tmp_path))


def test_nothing_usable(tmp_path):
    empty = examine(tmp_path)
    assert (codes(empty), empty.title) == (["nothing-usable", "empty-folder"], "an empty folder")
    write(tmp_path / "notes" / "readme.md", ["hello"])
    report = examine(tmp_path)
    assert (codes(report), report.commands) == (["nothing-usable"], [])
    assert report.title == "nothing that affkit knows"
    assert codes(examine(tmp_path / "notes" / "readme.md")) == ["nothing-usable"]


def test_a_folder_that_may_not_be_opened(tmp_path, monkeypatch):
    root = make_year(tmp_path, "ABAW5")
    scandir = os.scandir

    def closed(folder):
        if Path(folder).name == "private":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    (root / "private").mkdir()
    monkeypatch.setattr(listing.os, "scandir", closed)
    assert codes(examine(root)) == ["no-permission"]
    with pytest.raises(UserError, match="cannot be opened"):
        examine(root / "private")


def test_one_set_of_a_layout_and_one_file_of_it(tmp_path):
    make_year(tmp_path, "ABAW5")
    report = examine((tmp_path / VA).parent)
    assert codes(report) == ["inside-a-layout", "no-pictures"]
    assert ABAW5 in report.findings[0].what and report.rows[0].labelled == 3 * (FRAMES - 1)
    report = examine(tmp_path / VA)
    assert (codes(report), [row.files for row in report.rows]) == (["no-pictures"], [1])


def test_a_list_of_frames_without_a_header_alone(tmp_path):
    write(tmp_path / "labels.txt", listed_lines(("alpha",), 9, 2)[1:])
    report = examine(tmp_path)
    assert report.title == "a table of labels"
    assert {row.task: (row.lines, row.labelled) for row in report.rows}["mtl"] == (9, 7)


def test_several_corpora_are_not_mixed(tmp_path):
    for name in ("one", "two"):
        make_year(tmp_path / name, "ABAW5")
    report = examine(tmp_path)
    found = codes(report)
    assert "several-corpora" in found and "in-two-sets" not in found and report.rows == []
    assert report.commands == [f"affkit doctor --data {tmp_path / name}" for name in ("one", "two")]


SEPARATE = {"nothing-usable", "no-permission", "inside-a-layout", "several-corpora"}


def test_every_finding_has_a_test():
    source = "".join(Path(module.__file__).read_text() for module in (check_labels, check_pictures))
    found = set(check_labels._UNREADABLE) | set(re.findall(r'Finding\("([a-z-]+)"', source))
    assert {code for code, *_ in FAULTS} | SEPARATE == found


# ---- what lies in a folder


@settings(max_examples=30)
@given(st.lists(PICTURES))
def test_crops_are_counted_by_number(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("crops") / "clip"
    folder.mkdir()
    names = {form.format(number) for number, form in pictures}
    for name in names:
        (folder / name).touch()
    crops = list_folder(folder.parent).crops.get(folder)
    assert (crops is not None) == bool(names)
    if names:
        numbers = sorted({number for number, _ in pictures})
        assert crops.numbers.tolist() == numbers and crops.repeated == len(names) - len(numbers)
        assert bool(crops.padded) == any(name.startswith(" ") for name in names)
        assert bool(crops.other_width) == any(len(name.strip()) != 9 for name in names)


def test_links_are_followed_once(tmp_path):
    make_year(tmp_path / "elsewhere", "ABAW5")
    root = tmp_path / "data"
    root.mkdir()
    for name in (ABAW5, "videos", "cropped_aligned"):
        (root / name).symlink_to(tmp_path / "elsewhere" / name)
    (root / "again").symlink_to(root / "videos")
    report = examine(root)
    assert report.findings == []
    assert {row.with_crop for row in report.rows if row.subset == "train"} == {3 * (FRAMES - 1)}
    assert "3 videos in" in dict(report.facts)["videos"]


def test_large_numbers_are_no_frames(tmp_path):
    add_crops(tmp_path / "clip", [20_240_131_120_000, 20_240_131_120_001], "{}.jpg")
    found = list_folder(tmp_path)
    assert not found.crops and found.pictures[tmp_path / "clip"] == (2, "20240131120000.jpg")


def test_names_of_files_are_those_of_their_makers(tmp_path):
    assert STORE_FILE == INFO
    sheet = tmp_path / "faces_01.webp"
    pool.write_sheet(sheet, np.zeros((32, 16, 16, 3), np.uint8))
    assert list_folder(tmp_path).pools == {tmp_path: 1} and examine(tmp_path).findings == []


def test_folders_are_known_in_any_case_and_without_an_underscore():
    assert task_of_folder("expr_recognition_challenge") == "expr"
    assert set_of_folder("ValidationSet") == "validation"


# ---- what a video is


@pytest.fixture(scope="module")
def encoded(tmp_path_factory) -> Callable[[str], Path]:
    """Each kind of video, encoded once."""
    folder = tmp_path_factory.mktemp("videos")
    return functools.cache(lambda name: write_numbered(folder / name, **video_kinds()[name]))


@pytest.mark.parametrize("name", video_kinds())
def test_whole_videos_of_all_kinds(encoded, name):
    found = VideoFile.of(encoded(name))
    assert not found.cut and found.variable == (name == "variable.mp4")
    assert found.num_frames == sum(1 for _ in Video(encoded(name)).frames())


@pytest.mark.parametrize("name", ["mjpeg25.avi", "vp8_24.webm", "vp9_24.webm", "rounded30_h264.mkv"])
@pytest.mark.parametrize("fraction", [0.5, 0.7])
def test_videos_that_are_cut_off(encoded, tmp_path, name, fraction):
    found = VideoFile.of(cut(Path(shutil.copy(encoded(name), tmp_path)), fraction))
    assert found.cut and not found.variable


def test_an_mp4_for_the_web_that_is_cut_off(tmp_path):
    """Its index is at the beginning and says what is missing at the end."""
    path = tmp_path / "web.mp4"
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        add_pictures(container, map(numbered, range(60)))
    assert not VideoFile.of(path).cut
    assert VideoFile.of(cut(path, 0.8)).cut


def test_the_same_file_is_found_by_its_content(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, 300_000, np.uint8).tobytes()
    files = {"a": base, "b": base, "short": base[:-1], "none": b""}
    files |= {"end": base[:-1] + b"!", "start": b"!" + base[1:]}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "none too").touch()
    assert same_files(tmp_path / name for name in os.listdir(tmp_path)) == [[tmp_path / "a", tmp_path / "b"]]


# ---- lines, frames and crops


def test_a_header_counted_everywhere_is_said_to_be_everywhere(tmp_path):
    make_year(tmp_path, "Aff-Wild")
    for path in (tmp_path / "annotations").rglob("*.txt"):
        write(path, ["0", *path.read_text().splitlines()])
    finding = only(tmp_path, "one-line-more")
    assert "for all 3 people" in finding.what and "header" in finding.what
    assert finding.where[0] == "alpha (va): 61 lines, 60 frames"


def test_labels_of_a_variable_rate_at_thirty_a_second(tmp_path):
    """60 frames that last 3 seconds, and 90 lines: what a program has that makes it 30 a second."""
    make_year(tmp_path, "ABAW5")
    times = tuple(np.cumsum([0.02, 0.08] * (FRAMES // 2)).tolist())
    add_video(tmp_path / "videos" / "alpha.mp4", times=times)
    longer(by=30)(tmp_path)
    assert only(tmp_path, "other-rate").where == (
        "alpha (va): 90 lines, 60 frames at a variable rate; 90 would be 30 a second",
    )
    assert {finding.code for finding in examine(tmp_path).findings} == {"other-rate", "video-variable"}


@pytest.mark.parametrize("first, code", [(0, "crops-from-zero"), (1, None), (2, "crops-one-more")])
def test_where_crops_begin(tmp_path, first, code):
    """All tasks have as many lines as crops; only where counting begins differs."""
    make_year(tmp_path, "ABAW6")
    shutil.rmtree(tmp_path / "cropped_aligned")
    for name in ("alpha", "two_left", "two_right", "gamma"):
        add_crops(tmp_path / "cropped_aligned" / name, range(first, first + FRAMES))
    found = examine(tmp_path).findings
    assert [(finding.code, len(finding.where)) for finding in found] == ([(code, 4)] if code else [])
    if first == 0:
        assert "In 4 of 4 the last number confirms it" in found[0].what


@pytest.mark.parametrize("tasks", [tasks for n in (1, 2) for tasks in itertools.combinations(WORDS, n)])
def test_missing_tasks_are_named(tmp_path, tasks):
    make_year(tmp_path, "ABAW1")
    for task in tasks:
        shutil.rmtree(tmp_path / f"{task.upper()}_Set")
    what = only(tmp_path, "task-missing").what
    assert what == f"No annotations of {' or '.join(WORDS[task] for task in tasks)}."


# ---- the page


def test_the_worst_comes_first_and_long_lists_are_cut(tmp_path):
    make_year(tmp_path, "ABAW5")
    for number in range(7):
        write(tmp_path / "old" / f"{number}.txt", label_lines("va", HEADER, 3))
        add_video(tmp_path / "videos" / f"spare_{number}.mp4")
    (tmp_path / "videos" / "spare_0.mp4").write_bytes(b"no video")
    text = page(examine(tmp_path))
    places = [text.index(f"\n{severity.capitalize()}\n") for severity in SEVERITIES]
    assert places == sorted(places) and text.count("and 4 more") == 2
    assert "Next, when the errors are fixed:" in text
    assert max(len(line) for line in text.splitlines() if str(tmp_path) not in line) <= 110
