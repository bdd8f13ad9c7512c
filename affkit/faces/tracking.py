"""Following faces through a clip, so that each person is one row of boxes and every frame has one.

A detector misses a face now and then, takes a lamp for one, does not know who is who, and is slow on whole
pictures. So a whole picture is searched only a few times a second; in between a face is looked for around its
last place, on a small picture, which is fast *and* finds more. In the end what was too short to be a person
is dropped, short gaps are filled, and boxes smoothed.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.signal import savgol_filter

from affkit.faces.detectors import Box, Detector, crop_face, resized

SEARCH_SECONDS = 0.25  # the whole picture is searched this often
GAP_SECONDS = 0.5  # a face not seen for longer is gone; shorter gaps are filled
PERSON_SECONDS = 0.3  # what is seen for less is not a person
SMOOTH_SECONDS = 0.3  # window over which boxes are smoothed
LOOK_SIDE = 48  # pixels a face is wide in the small picture it is looked for in
LOOK_MARGIN = 2.0  # side of that picture, in faces
TILTS = (0, 20, -20)  # degrees by which it is turned until a face is found
SAME_COLOURS = 0.9  # histogram correlation from which two tracks may be one person


@dataclass
class Track:
    boxes: dict[int, Box] = field(default_factory=dict)  # by frame (0-based) in which the face was seen
    colours: list[np.ndarray] = field(default_factory=list)  # histograms of :func:`colours`, a few a second
    first: int = -1
    last: int = -1

    def add(self, frame: int, box: Box) -> None:
        self.first = min(self.first, frame) if self.boxes else frame
        self.last = max(self.last, frame)
        self.boxes[frame] = box

    def predict(self, frame: int) -> Box:
        """Where the face should be in a frame after the last or before the first: it goes on as it went."""
        near, inward = (self.last, -1) if frame > self.last else (self.first, 1)
        far = next(near + steps * inward for steps in (3, 2, 1, 0) if near + steps * inward in self.boxes)
        if far == near:
            return self.boxes[near]
        steps = min(abs(frame - near), 4) / abs(far - near)  # a face does not fly on for ever
        (x, y), (x0, y0) = self.boxes[near].center, self.boxes[far].center
        return self.boxes[near].moved((x - x0) * steps, (y - y0) * steps)


def look_near(frame: np.ndarray, box: Box, detector: Detector, margin: float = LOOK_MARGIN) -> Box | None:
    """The face of about the size of ``box`` nearest to it in ``frame``, ``(H, W, 3)`` uint8 RGB, or ``None``.

    Only a square of ``margin`` boxes is looked at, in which the face is made :data:`LOOK_SIDE` pixels wide;
    if there is none, once more with the head tilted either way (:data:`TILTS`).
    """
    (x, y), half = box.center, box.side * margin / 2
    left, top = max(round(x - half), 0), max(round(y - half), 0)
    part = frame[top : max(round(y + half), 0), left : max(round(x + half), 0)]
    scale = LOOK_SIDE / box.side
    width, height = round(part.shape[1] * scale), round(part.shape[0] * scale)
    if min(width, height) < LOOK_SIDE // 2:  # the face has left the picture
        return None
    small = resized(part, width, height)
    for tilt in TILTS:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt, 1)
        view = small
        if tilt:
            view = cv2.warpAffine(small, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        found = [_turned(seen, cv2.invertAffineTransform(turn)) for seen in detector.detect(view)]
        found = [seen.moved(left, top, 1 / scale) for seen in found]
        best = min(found, key=lambda seen: distance(box, seen), default=None)
        if best is not None and distance(box, best) < 1:
            return best
    return None


def _turned(box: Box, turn: np.ndarray) -> Box:
    """A box of the same size, its centre and eyes moved by ``turn``, a ``(2, 3)`` affine map."""
    (x, y), *eyes = (turn @ (*point, 1) for point in (box.center, box.eyes[:2], box.eyes[2:]) if point)
    eyes = tuple(float(place) for eye in eyes for place in eye)
    return Box(float(x) - box.w / 2, float(y) - box.h / 2, box.w, box.h, box.score, eyes)


def distance(a: Box, b: Box) -> float:
    """How unlike two boxes are: 0 the same; 1 for 0.75 of a side apart, or one twice as large."""
    (ax, ay), (bx, by) = a.center, b.center
    place = np.hypot(ax - bx, ay - by) / (0.75 * (a.side * b.side) ** 0.5)
    return float(place + abs(np.log2(a.side / b.side)))


def without_doubles(boxes: Iterable[Box]) -> list[Box]:
    """The boxes, best first, without those that share half of the smaller area with a better one."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if all(box.intersection(other) < 0.5 * min(box.side, other.side) ** 2 for other in kept):
            kept.append(box)
    return kept


def colours(frame: np.ndarray, box: Box) -> np.ndarray:
    """What a head looks like from afar: ``(256,)`` float32, hues and saturations of face and hair."""
    head = crop_face(frame, box, 32)[:, 4:-4]  # without most of what is behind it
    hsv = cv2.cvtColor(head, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1], None, [16, 16], [0, 180, 0, 256])
    return cv2.GaussianBlur(counts, (3, 3), 0).ravel()


def assign(
    tracks: Sequence[Track], boxes: Sequence[Box], frame: int
) -> tuple[list[tuple[Track, Box]], list[Box]]:
    """Which box of ``frame`` belongs to which track, so that the distances are least in sum; and the rest."""
    costs = np.array([[distance(track.predict(frame), box) for box in boxes] for track in tracks])
    costs = costs.reshape(len(tracks), len(boxes))
    pairs = zip(*linear_sum_assignment(np.minimum(costs, 2)), strict=True)
    pairs = {b: t for t, b in pairs if costs[t, b] < 1}
    rest = [box for b, box in enumerate(boxes) if b not in pairs]
    return [(tracks[t], boxes[b]) for b, t in pairs.items()], rest


def follow_faces(frames: Iterable[np.ndarray], detector: Detector, fps: float) -> list[Track]:
    """Follow every face through ``frames``, each ``(H, W, 3)`` uint8 RGB, and return the raw tracks.

    A face that appears between two searches is followed back through the few frames that are kept in memory.
    A track ends when its face is not seen for :data:`GAP_SECONDS`.
    """
    near = detector.eager() if hasattr(detector, "eager") else detector
    every, gap = max(round(SEARCH_SECONDS * fps), 1), round(GAP_SECONDS * fps)
    live, done = [], []  # tracks
    recent: deque[tuple[int, np.ndarray]] = deque(maxlen=every)
    for index, frame in enumerate(frames):
        seen = [look_near(frame, track.predict(index), near) for track in live]
        candidates = [box for box in seen if box is not None]
        searched = index % every == 0
        if searched:
            candidates += detector.detect(frame)
        pairs, rest = assign(live, without_doubles(candidates), index)
        for track, box in pairs:
            track.add(index, box)
            if searched:
                track.colours.append(colours(frame, box))
        if searched:
            for box in rest:
                track = Track()
                track.add(index, box)
                track.colours.append(colours(frame, box))
                _follow_back(track, recent, near, live)
                live.append(track)
        recent.append((index, frame))
        done += [track for track in live if index - track.last > gap]
        live = [track for track in live if index - track.last <= gap]
    return done + live


def _follow_back(
    track: Track, recent: Iterable[tuple[int, np.ndarray]], detector: Detector, others: list[Track]
) -> None:
    """Find the face of ``track`` in the frames before the one in which it was first seen."""
    for index, frame in reversed(list(recent)):
        box = look_near(frame, track.predict(index), detector)
        taken = [other.boxes[index] for other in others if index in other.boxes]
        if box is not None and all(box.iou(other) < 0.3 for other in taken):
            track.add(index, box)


def join_tracks(tracks: Iterable[Track]) -> list[Track]:
    """Join tracks that never share a frame and have the same colours: a person who left and came back."""
    people: list[Track] = []
    for track in sorted(tracks, key=lambda track: -len(track.boxes)):
        apart = (person for person in people if not person.boxes.keys() & track.boxes.keys())
        alike = [(_likeness(person, track), person) for person in apart]
        likeness, person = max(alike, key=lambda pair: pair[0], default=(0.0, None))
        if person is not None and likeness >= SAME_COLOURS:
            for frame, box in track.boxes.items():
                person.add(frame, box)
            person.colours += track.colours
        else:
            people.append(track)
    return people


def _likeness(a: Track, b: Track) -> float:
    return cv2.compareHist(*(np.mean(track.colours, axis=0) for track in (a, b)), cv2.HISTCMP_CORREL)


def fill_gaps(boxes: dict[int, Box], longest: int) -> dict[int, Box]:
    """The boxes in the order of their frames, gaps of up to ``longest`` frames filled on a straight line.

    >>> fill_gaps({0: Box(0, 0, 9, 9, 1.0), 2: Box(4, 0, 9, 9, 1.0)}, longest=1)[1]
    Box(x=2.0, y=0.0, w=9.0, h=9.0, score=nan, eyes=())
    """
    frames = sorted(boxes)
    columns = np.array([(*boxes[frame][:4], *boxes[frame].eyes) for frame in frames]).T
    filled = dict(boxes)
    for frame, following in pairwise(frames):
        if following - frame - 1 <= longest:
            for between in range(frame + 1, following):
                x, y, w, h, *eyes = (float(np.interp(between, frames, column)) for column in columns)
                filled[between] = Box(x, y, w, h, eyes=tuple(eyes))
    return dict(sorted(filled.items()))


def smooth(boxes: dict[int, Box], window: int) -> dict[int, Box]:
    """The boxes without jitter, gaps left: a straight line is fitted to every ``window`` (odd) frames
    (Savitzky & Golay 1964), after a median of five has removed single wild sizes.
    """
    frames = np.array(sorted(boxes))
    smoothed = {}
    for run in np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1):
        boxes_of_run = [boxes[frame] for frame in run]
        values = np.array([[*box.center, box.w, box.h, *box.eyes] for box in boxes_of_run])  # (T, 4 or 8)
        padded = np.pad(values[:, 2:4], ((2, 2), (0, 0)), mode="edge")
        values[:, 2:4] = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0), axis=-1)
        width = min(window, len(run) - 1 + len(run) % 2)
        if width >= 3:
            values = savgol_filter(values, width, polyorder=1, axis=0)
        for frame, (x, y, w, h, *eyes), old in zip(run, values.tolist(), boxes_of_run, strict=True):
            smoothed[int(frame)] = Box(x - w / 2, y - h / 2, w, h, old.score, tuple(eyes))
    return smoothed


def find_people(frames: Iterable[np.ndarray], detector: Detector, fps: float) -> list[dict[int, Box]]:
    """Everybody in a clip: for each person ``{frame (0-based): box}``, smoothed, the one seen longest first.

    Dropped are tracks seen in less than half of their frames; and, after joining, who was seen for less than
    :data:`PERSON_SECONDS` in all, or than half of a shorter clip, or never with the score ``detector.clear``.
    Boxes that were filled in have the score ``nan``.
    """
    counter = count()
    tracks = follow_faces((frame for frame, _ in zip(frames, counter, strict=False)), detector, fps)
    least = min(round(PERSON_SECONDS * fps), (next(counter) + 1) // 2)  # the number of frames
    tracks = [track for track in tracks if len(track.boxes) >= (track.last - track.first + 1) / 2]
    people = [person for person in join_tracks(tracks) if len(person.boxes) >= least]
    clear = getattr(detector, "clear", -np.inf)
    people = [person for person in people if max(box.score for box in person.boxes.values()) >= clear]
    people.sort(key=lambda person: (-len(person.boxes), person.first))
    window = round(SMOOTH_SECONDS * fps) // 2 * 2 + 1
    return [smooth(fill_gaps(person.boxes, round(GAP_SECONDS * fps)), window) for person in people]
