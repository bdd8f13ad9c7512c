"""The parts of ``affkit doctor``: what lies in a folder, what a video is, why lines and frames differ."""

import itertools
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_doctor import ABAW5, VA, longer
from videos import video_kinds, write_numbered
from year_folders import FRAMES, TASKS, add_crops, add_video, label_lines, make_year, write

from affkit.faces import pool
from affkit.labelfiles.layouts import set_of_folder, task_of_folder
from affkit.store import INFO
from affkit.video.video import Video
from affkit_studio.doctor.check_pictures import same_files
from affkit_studio.doctor.folder import SEVERITIES, Finding, VideoFile
from affkit_studio.doctor.listing import STORE_FILE, list_folder
from affkit_studio.doctor.report import examine, page

PICTURES = st.tuples(st.integers(0, 99_999), st.sampled_from(["{:05d}.jpg", "{}.png", "{:6d}.JPG"]))


def only(root: Path, code: str) -> Finding:
    return next(finding for finding in examine(root).findings if finding.code == code)


# ---- what lies in a folder


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


@pytest.mark.parametrize("name, task, subset", [
    ("VA_Set", "va", None), ("expr_recognition_challenge", "expr", None),
    ("AU_Detection_Challenge", "au", None), ("Training_Set", None, "train"),
    ("ValidationSet", None, "validation"), ("AU_Challenge", None, None),
])  # fmt: skip
def test_folders_of_tasks_and_sets(name, task, subset):
    assert (task_of_folder(name), set_of_folder(name)) == (task, subset)


# ---- what a video is


@pytest.mark.parametrize("name", video_kinds())
def test_whole_videos_of_all_kinds(tmp_path, name):
    found = VideoFile.of(write_numbered(tmp_path / name, **video_kinds()[name]))
    assert not found.cut and found.variable == (name == "variable.mp4")
    assert found.num_frames == sum(1 for _ in Video(tmp_path / name).frames())


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


@pytest.mark.parametrize("name", ["mjpeg25.avi", "vp8_24.webm", "vp9_24.webm", "rounded30_h264.mkv"])
@pytest.mark.parametrize("share", [0.5, 0.7])
def test_videos_that_are_cut_off(tmp_path, name, share):
    found = VideoFile.of(cut(write_numbered(tmp_path / name, **video_kinds()[name]), share))
    assert found.cut and not found.variable


def test_an_mp4_for_the_web_that_is_cut_off(tmp_path):
    """Its index is at the beginning and says what is missing at the end."""
    whole = add_video(tmp_path / "whole.mp4", 60)
    with (
        av.open(str(whole)) as source,
        av.open(str(tmp_path / "web.mp4"), "w", options={"movflags": "+faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert not VideoFile.of(tmp_path / "web.mp4").cut
    assert VideoFile.of(cut(tmp_path / "web.mp4", 0.8)).cut


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
    longer(VA, by=30)(tmp_path)
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


def test_gaps_in_crops_are_no_fault(tmp_path):
    """A face that was not found leaves a gap, also at the beginning and at the end."""
    make_year(tmp_path, "ABAW5")
    for number in (1, 2, 30, FRAMES - 1, FRAMES):
        (tmp_path / "cropped_aligned" / "alpha" / f"{number:05d}.jpg").unlink()
    assert examine(tmp_path).findings == []


@pytest.mark.parametrize("tasks", [tasks for n in (1, 2) for tasks in itertools.combinations(TASKS, n)])
def test_missing_tasks_are_named(tmp_path, tasks):
    make_year(tmp_path, "ABAW1")
    for task in tasks:
        shutil.rmtree(tmp_path / f"{task.upper()}_Set")
    words = {"va": "valence and arousal", "expr": "expressions", "au": "action units"}
    what = only(tmp_path, "task-missing").what
    assert what == f"No annotations of {' or '.join(words[task] for task in tasks)}."


# ---- the page


def test_the_worst_comes_first_and_long_lists_are_cut(tmp_path):
    make_year(tmp_path, "ABAW5")
    for number in range(7):
        write(tmp_path / "old" / f"{number}.txt", label_lines("va", ("valence", "arousal"), 3))
        add_video(tmp_path / "videos" / f"spare_{number}.mp4")
    (tmp_path / "videos" / "spare_0.mp4").write_bytes(b"no video")
    text = page(examine(tmp_path))
    places = [text.index(f"\n{severity.capitalize()}\n") for severity in SEVERITIES]
    assert places == sorted(places) and text.count("and 4 more") == 2
    assert "Next, when the errors are fixed:" in text
    assert max(len(line) for line in text.splitlines() if str(tmp_path) not in line) <= 110
