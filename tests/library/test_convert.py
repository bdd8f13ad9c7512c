"""Conversion to 30 frames a second: the frames, their labels, bad input, and being killed on the way."""

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest
import videos
from folders import contents
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses
from videos import add_pictures, numbered, read_labels, read_numbers, write_labels, write_numbered

from affkit.corpus.corpus import Corpus
from affkit.video import convert
from affkit.video.convert import JOURNAL, convert_video, convert_videos, retime
from affkit.video.video import Video, write_video

pytestmark = pytest.mark.slow  # encodes and decodes videos

KINDS = videos.video_kinds()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A clip of every kind, with labels that say which number is on each frame."""
    folder = tmp_path_factory.mktemp("sources")
    for name, kind in KINDS.items():
        path = write_numbered(folder / "videos" / name, **kind)
        write_labels(folder / "annotations/VA_Set/Train_Set" / f"{path.stem}.txt", kind.get("num_frames", 40))
    return folder


@pytest.fixture(scope="module")
def converted(sources, tmp_path_factory):
    out = tmp_path_factory.mktemp("converted") / "out"
    clips = [sources / "videos" / name for name in KINDS]
    convert_videos(clips, out, labels=sources / "annotations", progress=False)
    return out


@pytest.fixture
def clip(tmp_path):
    """40 frames, 25 a second."""
    return write_numbered(tmp_path / "clip.avi", 40, fps=25, codec="mjpeg")


def convert_all(inputs, out, labels=None, **options):
    return convert_videos(inputs, out, labels, progress=False, **options)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips of 20 frames; nothing changes them."""
    folder = tmp_path_factory.mktemp("clips")
    return [write_numbered(folder / f"{name}.avi", 20, fps=25, codec="mjpeg") for name in "abc"]


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_shown_when_they_were_line_i_is_frame_i_and_all_is_h264_at_30(converted, name):
    kind, stem = KINDS[name], name.rsplit(".", 1)[0]
    num_frames = kind.get("num_frames", 40)
    times = kind.get("times") or [i / float(kind["fps"]) for i in range(num_frames)]
    numbers = read_numbers(converted / f"{stem}.mp4")
    assert read_labels(converted / "annotations/VA_Set/Train_Set" / f"{stem}.txt") == numbers
    assert numbers[0] == 0 and numbers == sorted(numbers)
    if kind.get("fps", 30) <= 30 and "times" not in kind:
        assert sorted(set(numbers)) == list(range(num_frames))  # no frame is lost
    if kind.get("fps") == 30:
        assert numbers == list(range(40))
    middles, starts = (np.arange(len(numbers)) + 0.5) / 30, np.array([*times, math.inf])
    assert (starts[numbers] <= middles + 0.001).all()  # never more than half a step early
    assert (starts[np.add(numbers, 1)] >= middles - 0.001).all()  # nor late
    with Video(converted / f"{stem}.mp4") as video:
        assert (video.width, video.height, video.rotation, video.fps) == (160, 96, 0, 30)
        assert [stream.type for stream in video.container.streams] == ["video"]
        assert video.stream.codec_context.name == "h264" and video.stream.pix_fmt == "yuv420p"
        times = [time for _, time, _ in video.decode()]
    assert times == [Fraction(i, 30) for i in range(len(times))]


def test_pixels_stay_what_they_are(tmp_path):
    """Full-range MJPEG, odd sizes, turned: nothing is scaled, mirrored or made brighter."""
    picture = np.full((97, 161, 3), 40, np.uint8)
    picture[:48, :80], picture[48:, 80:] = (230, 180, 120), (10, 200, 60)
    for name, codec in (("a.avi", "mjpeg"), ("a.mkv", "ffv1")):
        write_video(tmp_path / name, [picture] * 3, codec=codec)
        convert_video(tmp_path / name, tmp_path / "out.mp4", force=True)
        before, after = next(Video(tmp_path / name).frames()), next(Video(tmp_path / "out.mp4").frames())
        assert after.shape == (96, 160, 3)
        assert np.abs(before[:96, :160].astype(int) - after).mean() < 2


def test_colours_of_large_clips_keep_their_meaning(tmp_path):
    path = tmp_path / "hd.mp4"
    with av.open(str(path), "w") as container:
        bt709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1}
        add_pictures(container, [numbered(3)], **bt709)
    convert_video(path, tmp_path / "out.mp4")
    for clip in (path, tmp_path / "out.mp4"):
        with av.open(str(clip)) as container:
            context = container.streams.video[0].codec_context
            assert {name: getattr(context, name) for name in bt709} == bt709


@settings(max_examples=50)
@given(st.lists(st.fractions(0, Fraction(1, 2)), min_size=1, max_size=30), st.sampled_from([24, 25, 30, 60]))
def test_retime_against_a_plain_search(gaps, rate):
    times = np.cumsum([Fraction(0), *gaps]).tolist()
    step = Fraction(1, rate)
    shown = [i for i, count in retime(((t, i) for i, t in enumerate(times)), step) for _ in range(count)]
    places = [math.floor(t * 30 + Fraction(1, 2)) for t in times]
    length = max(1, math.floor((times[-1] + step) * 30 + Fraction(1, 2)))
    assert shown == [max(i for i, place in enumerate(places) if place <= n) for n in range(length)]


def test_two_people_no_header_carriage_returns_and_byte_order_mark(tmp_path):
    clip = write_numbered(tmp_path / "clip.avi", 25, fps=25, codec="mjpeg")
    labels = tmp_path / "labels"
    write_labels(labels / "AU_Set/clip_left.txt", 25, "AU1,AU2")
    write_labels(labels / "train/valence/clip.txt", 25, header=None)
    text = (labels / "AU_Set/clip_left.txt").read_text()
    (labels / "AU_Set/clip_right.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    write_labels(labels / "AU_Set/other.txt", 7)
    convert_all([clip], tmp_path / "out", labels)
    numbers, out = read_numbers(tmp_path / "out/clip.mp4"), tmp_path / "out/labels"
    assert read_labels(out / "AU_Set/clip_left.txt") == numbers and len(numbers) == 30
    assert (out / "AU_Set/clip_right.txt").read_bytes() == (out / "AU_Set/clip_left.txt").read_bytes()
    lines = (out / "train/valence/clip.txt").read_text().splitlines()
    assert [round(float(line.split(",")[0]) * 1000) for line in lines] == numbers
    assert not (out / "AU_Set/other.txt").exists()


def test_a_clip_called_left_is_a_clip_of_its_own(clips, tmp_path):
    clips = [shutil.copy(clips[0], tmp_path / f"{name}.avi") for name in ("a", "a_left")]
    write_labels(tmp_path / "labels/a.txt", 20)
    write_labels(tmp_path / "labels/a_left.txt", 20)
    convert_all(clips[:1], tmp_path / "one", tmp_path / "labels")
    convert_all(clips, tmp_path / "two", tmp_path / "labels")
    files = {"a.mp4", "labels/a.txt", "labels/a_left.txt"}
    assert contents(tmp_path / "one").keys() == files
    assert contents(tmp_path / "two").keys() == files | {"a_left.mp4"}


def test_labels_beside_the_clips(clips, tmp_path):
    shutil.copytree(clips[0].parent, tmp_path / "corpus")
    for clip in clips:
        write_labels(tmp_path / "corpus/VA_Set/Train_Set" / f"{clip.stem}.txt", 20)
    (tmp_path / "corpus/subjects.csv").write_text("video,subject\na,ada\nb,ben\nc,ada\n")
    convert_all([tmp_path / "corpus"], tmp_path / "out", tmp_path / "corpus")
    files = {f"{name}.mp4" for name in "abc"} | {f"VA_Set/Train_Set/{name}.txt" for name in "abc"}
    assert contents(tmp_path / "out").keys() == files | {"subjects.csv"}
    assert Corpus.open(tmp_path / "out").subjects == {"a": "ada", "b": "ben", "c": "ada"}


@pytest.mark.parametrize("link", ["annotations", "annotations/VA_Set", "annotations/VA_Set/Train_Set"])
def test_links_are_followed_once_and_keep_the_name_that_was_given(clips, tmp_path, link, monkeypatch):
    write_labels(tmp_path / "annotations/VA_Set/Train_Set/a.txt", 20)
    (tmp_path / link).rename(tmp_path / "elsewhere")
    (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "annotations" / "again").symlink_to("../annotations")  # round in a circle
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    convert_all(clips[:1], tmp_path / "out", "../annotations")
    assert contents(tmp_path / "out").keys() == {"a.mp4", "annotations/VA_Set/Train_Set/a.txt"}
    assert list(Corpus.open(tmp_path / "out").labels) == ["a"]
    (tmp_path / "itself").symlink_to("itself")
    refuses("itself: is not a folder", convert_all, clips, tmp_path / "out", tmp_path / "itself")


def test_names_are_matched_in_one_form_and_what_systems_leave_is_skipped(clips, tmp_path):
    one, other = "Zo\u00eb", "Zoe\u0308"
    shutil.copy(clips[0], tmp_path / f"{other}.avi")
    write_labels(tmp_path / "labels" / f"{one}.TXT", 20)
    write_labels(tmp_path / "labels" / f"{one}_left.txt", 20)
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        write_labels(tmp_path / "labels" / name / f"{one}.txt", 7)
    convert_all([tmp_path / f"{other}.avi"], tmp_path / "out", tmp_path / "labels")
    files = {f"{one}.mp4", f"labels/{one}.TXT", f"labels/{one}_left.txt"}
    assert contents(tmp_path / "out").keys() == files


@pytest.mark.parametrize("num_lines", [37, 43])
def test_a_few_lines_more_or_less_are_one_warning(tmp_path, clip, num_lines):
    for side in ("left", "right"):
        write_labels(tmp_path / "labels" / f"clip_{side}.txt", num_lines)
    with pytest.warns(UserWarning, match=f"40 frames, but .*clip_left.txt labels {num_lines}") as caught:
        convert_all([clip], tmp_path / "out", tmp_path / "labels")
    assert len(caught) == 1
    numbers = read_numbers(tmp_path / "out/clip.mp4")
    expected = [number for number in numbers if number < num_lines]
    assert read_labels(tmp_path / "out/labels/clip_left.txt") == expected


def test_labels_that_are_none_or_of_another_clip(tmp_path, clip, clips):
    write_labels(tmp_path / "labels/clip.txt", 60)
    out, words = tmp_path / "out", ("clip.txt: labels 60 frames, but ", "clip.avi has 40")
    refuses(words, convert_all, [clip], out, tmp_path / "labels")
    (tmp_path / "empty").mkdir()
    refuses("no label file", convert_all, clips, out, tmp_path / "empty")
    refuses("not a folder", convert_all, clips, out, clips[0])
    assert not (tmp_path / "out").exists()
    write_labels(tmp_path / "labels/a.txt", 20)
    with pytest.warns(UserWarning, match="no labels for b.avi, c.avi"):
        convert_all(clips, tmp_path / "out", tmp_path / "labels")


def test_labels_of_a_clip_that_breaks_off(tmp_path, clip):
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    write_labels(tmp_path / "labels/clip.txt", 40)
    with pytest.warns(UserWarning, match="breaks off after frame"):
        convert_all([clip], tmp_path / "out", tmp_path / "labels")
    numbers = read_numbers(tmp_path / "out/clip.mp4")
    assert read_labels(tmp_path / "out/labels/clip.txt") == numbers and 15 < max(numbers) < 30


def test_bad_inputs_are_refused_before_anything_is_written(tmp_path):
    good = write_numbered(tmp_path / "good.mp4", 5)
    (tmp_path / "text.mp4").write_text("valence,arousal\n" * 100)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder").mkdir()
    shutil.copy(good, tmp_path / "GOOD.mkv")
    (tmp_path / "itself.mp4").symlink_to("itself.mp4")
    cases = dict.fromkeys(("missing.mp4", "itself.mp4"), "no such file")
    cases |= {"text.mp4": "not a video", "empty.mp4": "empty"}
    cases |= {"folder": "no video in it", "GOOD.mkv": "would become GOOD.mp4, as would"}
    for name, words in cases.items():
        refuses((name, words), convert_all, [good, tmp_path / name], tmp_path / "out")
        assert not (tmp_path / "out").exists()
    refuses("no video was given", convert_all, [], tmp_path / "out")
    refuses("would replace an original", convert_all, [good], tmp_path, force=True)
    refuses("text.mp4: cannot be written to", convert_all, [good], tmp_path / "text.mp4")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_cannot_be_written_to(clips, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    refuses("cannot be written to", convert_all, clips, tmp_path / "out")


def test_existing_output_is_kept_unless_forced(clips, tmp_path):
    out = tmp_path / "out"
    convert_all(clips[:1], out)
    (out / "b.mp4").write_text("precious")
    before = contents(out)
    for inputs in (clips[:1], clips[1:]):
        refuses(("already exists; ", "--force"), convert_all, inputs, out)
        assert contents(out) == before
    convert_all(clips[1:], out, force=True)
    assert read_numbers(out / "b.mp4")[-1] == 19 and not (out / JOURNAL).exists()


def test_full_disk_in_the_middle_and_on_again_to_the_bytes_of_several_at_a_time(clips, tmp_path, monkeypatch):
    out = tmp_path / "out"
    made = convert_all(clips, tmp_path / "undisturbed", jobs=3)
    assert [path.name for path in made] == ["a.mp4", "b.mp4", "c.mp4"]
    real, fails = convert.transcode, ["a"]

    def full(source, target, tick):
        if source.stem in fails:
            target.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(source, target, tick)

    monkeypatch.setattr(convert, "transcode", full)
    refuses("a.mp4: the disk is full", convert_all, clips, out)
    assert contents(out) == {}  # a first clip that fails leaves nothing
    fails[:] = ["b"]
    refuses("b.mp4: the disk is full", convert_all, clips, out)
    assert contents(out).keys() == {"a.mp4", JOURNAL}
    monkeypatch.setattr(convert, "transcode", real)
    first = (out / "a.mp4").stat().st_mtime_ns
    convert_all(clips, out)
    assert (out / "a.mp4").stat().st_mtime_ns == first  # was not done again
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_the_journal_of_other_clips_is_respected(clips, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    others = json.dumps({"job": {"clips": ["others"]}, "done": []})
    for journal, words in (("{ha", f"{JOURNAL}: cannot be read"), (others, "other clips is unfinished")):
        (out / JOURNAL).write_text(journal)
        refuses(words, convert_all, clips, out)
    assert len(convert_all(clips, out, force=True)) == 3
    assert contents(out).keys() == {"a.mp4", "b.mp4", "c.mp4"}


KILLED = """
import sys
from affkit.video.convert import convert_videos
convert_videos([sys.argv[1]], sys.argv[2], labels=sys.argv[3], progress=False)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Four longer clips, their labels, and what becomes of them when nobody is killed."""
    root = tmp_path_factory.mktemp("long")
    for i, codec in enumerate(("mjpeg", "mpeg4", "mjpeg", "mpeg4")):
        write_numbered(root / "clips" / f"clip{i}.avi", 200, fps=25, codec=codec)
        write_labels(root / "labels" / f"clip{i}.txt", 200)
    convert_all([root / "clips"], root / "out", root / "labels")
    return root


@pytest.mark.parametrize("done", [0, 2])
def test_killed_anywhere_goes_on_to_the_same_bytes(undisturbed, tmp_path, done):
    """Killed in the middle of the first or the third clip."""
    folder, labels, out = undisturbed / "clips", undisturbed / "labels", tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", KILLED, folder, out, labels])
    while not (out / f".clip{done}.part.mp4").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert (out / JOURNAL).exists() and not (out / "clip3.mp4").exists()
    convert_all([folder], out, labels)
    assert contents(out) == contents(undisturbed / "out") and len(contents(out)) == 8


def test_two_at_once_end_well_or_one_says_so_in_one_line(undisturbed, tmp_path):
    words = ["convert", undisturbed / "clips", "-o", tmp_path / "out", "--labels", undisturbed / "labels"]
    start = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([sys.executable, "-m", "affkit", *words], **start) for _ in range(2)]
    told = [process.communicate()[1].splitlines()[-1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2] and told[codes.index(2)].startswith(f"affkit: {tmp_path / 'out'}"), told
    assert contents(tmp_path / "out") == contents(undisturbed / "out")


def test_silent_without_progress_and_a_bar_with_it(clips, tmp_path, capsys):
    with warnings.catch_warnings(action="error"):
        convert_all(clips, tmp_path / "out")
        assert capsys.readouterr() == ("", "")
        convert_videos(clips, tmp_path / "out", progress=True, force=True)
    printed = capsys.readouterr()
    assert "60/60" in printed.err and printed.out == ""
