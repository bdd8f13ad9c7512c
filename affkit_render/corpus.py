"""A corpus of drawn clips: who is in which clip, and filming them all, also after an interruption.

A corpus is written down first, as one :class:`ClipPlan` for each clip, and kept as ``plan.json`` beside what
comes of it. A clip is finished when its video is there, since that is renamed into place last; so the same
command goes on after a kill, and the result is the same byte for byte. The folder holds

- ``videos/<clip>.mp4`` or in another container,
- ``annotations/``: the labels, as Aff-Wild2 has them (see :mod:`affkit.labelfiles.layouts`),
- ``subjects.csv``: who is in a clip,
- ``truth/<clip>.csv``: what only a drawn corpus can know, for exercises: boxes, intensities, head pose.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from affkit.errors import UserError
from affkit.files import write_beside
from affkit.labelfiles.layouts import write_annotations
from affkit.video.video import write_video
from affkit_render.affect import perform, sample_style
from affkit_render.clip import Actor, Scene, Sight, place_actor, render_clip, sample_scene, visible_labels
from affkit_render.head import Head
from affkit_render.identity import sample_identity
from affkit_render.render import Pose, render
from affkit_render.wild import OCCLUDERS

PLAN_FILE = "plan.json"

SMALLEST_FACE = 96
"""Height in pixels of the smallest face that is drawn: the size of the crops in Section III.E."""

AGES = {"18-34": 35, "35-54": 55, "55-80": np.inf}
SKIN_TONES = {"light": 0.3, "medium": 0.55, "dark": np.inf}
"""Groups in ``subjects.csv`` and where each ends: years, and melanin as in ``Identity``."""

_GROWTH = 1.09  # a face that comes and goes, and turns a little, is that much narrower at times
_EDITION = 2  # of the plan file; another number is another corpus


@dataclass(frozen=True)
class PersonPlan:
    """Somebody in a clip.

    ``subject``: Name of the person; the same name with the same seed is the same person, in any clip.
    ``seed``: Of the head and of the personal style.
    ``face``: Height of the face in pixels.
    ``least_width``: A narrow face is drawn larger than ``face``, until it is at least so many pixels across.
    ``gender``: ``"female"`` or ``"male"``, or ``None`` to draw it.
    ``side``: ``"left"`` or ``"right"`` where two people are in the picture, else empty.
    ``centre``: Where the head is, as fractions of width and height.
    ``emotions``: What the person shows, in this order, or ``None`` for what comes.
    ``away``: Seconds at which the person leaves the picture and comes back, or ``None``.
    """

    subject: str
    seed: int
    face: float
    gender: str | None = None
    side: str = ""
    centre: tuple[float, float] = (0.5, 0.5)
    emotions: tuple[str, ...] | None = None
    away: tuple[float, float] | None = None
    least_width: float = 0


@dataclass(frozen=True)
class ClipPlan:
    """All that decides what a clip looks like; ``size`` is width and height as shown, in pixels.

    ``rotation`` stores the pictures turned and has the player turn them upright, as phones do.
    ``variable`` spaces the frames unevenly. ``background`` and ``occluder`` are kinds of
    :mod:`affkit_render.wild`; ``noise`` replaces the camera's own; ``crf`` is the quality, lower is better.
    ``parts`` are the parts of an annotated corpus that the clip belongs to, ``"au"``, ``"expression"``: its
    labels come from coders, see :mod:`affkit_render.edition`. Where it is ``None``, the truth is the label.
    """

    name: str
    people: tuple[PersonPlan, ...]
    seconds: float
    seed: int
    size: tuple[int, int] = (320, 240)
    fps: Fraction = Fraction(30)
    suffix: str = ".mp4"
    codec: str = "libx264"
    crf: int = 20
    rotation: int = 0
    variable: bool = False
    background: str | None = None
    occluder: str | None = None
    noise: float | None = None
    parts: tuple[str, ...] | None = None

    @property
    def times(self) -> np.ndarray:
        """When each frame is shown, ``(T,)`` seconds."""
        num_frames = max(1, round(self.seconds * self.fps))
        if not self.variable:
            return np.arange(num_frames) / float(self.fps)
        # a phone in poor light: most frames in time, some exposed longer or left out
        rng = np.random.default_rng([self.seed, 1])
        steps = rng.choice((1, 4 / 3, 2), num_frames, p=(0.6, 0.2, 0.2)) / float(self.fps)
        times = np.concatenate([[0], np.cumsum(steps)])
        return times[times < self.seconds]

    def names(self) -> list[str]:
        """The name of each person's labels: of the clip, with the side where there is one."""
        return [f"{self.name}_{person.side}" if person.side else self.name for person in self.people]

    def video(self, out: Path) -> Path:
        """The clip's file in the corpus folder ``out``."""
        return out / "videos" / f"{self.name}{self.suffix}"


def render_corpus(
    out: str | Path,
    subjects: int,
    seconds: float,
    seed: int = 0,
    size: tuple[int, int] = (320, 240),
    fps: float | Fraction = 30,
    jobs: int = 1,
    force: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Draw ``subjects`` people, one clip of ``seconds`` each; returns the video files.

    Same arguments, same bytes of labels and same pixels. A run that was stopped goes on where it was.

    Raises :class:`UserError` if ``out`` holds a finished corpus or another one, and not ``force``; if a
    picture of this size has no room for a face.
    """
    if min(size) < 1.6 * SMALLEST_FACE or size[0] % 2 or size[1] % 2:
        least = int(1.6 * SMALLEST_FACE) + 1
        raise UserError(out, f"no room in {size[0]}x{size[1]}", f"give even sizes of at least {least} pixels")
    width = max(3, len(str(subjects - 1)))
    rate = Fraction(fps).limit_denominator(1001)
    plans = [
        _spontaneous_clip(f"subject_{number:0{width}d}", [seed, number], seconds, size, rate)
        for number in range(subjects)
    ]
    return film_all(plans, out, jobs, force, progress)


def _spontaneous_clip(name: str, seed: list[int], seconds: float, size, fps: Fraction) -> ClipPlan:
    rng = np.random.default_rng(seed)
    largest = 0.6 * min(size[0] * 1.2, size[1])
    person = PersonPlan(
        subject=name,
        seed=int(rng.integers(2**31)),
        face=float(rng.uniform(min(SMALLEST_FACE * 1.1, largest), largest)),
        centre=(float(rng.uniform(0.42, 0.58)), 0.5),
    )
    occluder = str(rng.choice(OCCLUDERS)) if rng.uniform() < 0.15 else None
    return ClipPlan(name, (person,), seconds, int(rng.integers(2**31)), size, fps, occluder=occluder)


def film_all(
    plans: Sequence[ClipPlan], out: str | Path, jobs: int = 1, force: bool = False, progress: bool = True
) -> list[Path]:
    """Film every plan that is not finished in ``out``; returns all video files. See :func:`render_corpus`."""
    out = Path(out)
    _begin(plans, out, force)
    todo = [plan for plan in plans if not plan.video(out).exists()]
    total = sum(len(plan.times) for plan in todo)
    with tqdm(total=total, desc="draw", unit="frame", delay=2, disable=not progress) as bar:
        if jobs == 1:
            for plan in todo:
                film(plan, out, bar.update)
        else:
            run = Parallel(n_jobs=jobs, return_as="generator_unordered")
            for num_frames in run(delayed(film)(plan, out) for plan in todo):
                bar.update(num_frames)
    return [plan.video(out) for plan in plans]


def film(plan: ClipPlan, out: Path, tick: Callable[[int], object] = lambda frames: None) -> int:
    """Draw one clip and write its labels, its truth and then its video; returns the number of frames.

    ``tick`` is called with 1 after each frame.
    """
    times = plan.times
    scene_seed, *person_seeds = np.random.SeedSequence(plan.seed).spawn(1 + len(plan.people))
    scene = sample_scene(
        np.random.default_rng(scene_seed), times, *plan.size, plan.background, plan.occluder, plan.noise
    )
    actors = [
        _actor(person, np.random.default_rng(seed), times, scene)
        for person, seed in zip(plan.people, person_seeds, strict=True)
    ]
    sights: list[Sight] = []

    def pictures() -> Iterator[np.ndarray]:
        for picture, sight in render_clip(actors, scene, plan.seed):
            sights.append(sight)
            tick(1)
            yield np.rot90(picture, -(plan.rotation // 90))  # stored turned the other way round
        _write_labels(plan, actors, sights, out)  # before the video gets its name

    write_video(
        plan.video(out),
        pictures(),
        fps=plan.fps,
        crf=plan.crf,
        codec=plan.codec,
        rotation=plan.rotation,
        times=times if plan.variable else None,
    )
    return len(times)


def _actor(person: PersonPlan, rng: np.random.Generator, times: np.ndarray, scene: Scene) -> Actor:
    style = sample_style(np.random.default_rng([person.seed, 1]))
    performance = perform(times, rng, style, person.emotions)
    head = _head(person.seed, person.gender)
    face = max(person.face, person.least_width * _GROWTH / _width_at_height_1(head, scene))
    return place_actor(rng, head, performance, scene, face, person.centre, person.away)


def _width_at_height_1(head: Head, scene: Scene) -> float:
    """Width of a face that is seen from the front, as a fraction of its height."""
    elsewhere = Pose(yaw=0, pitch=0, roll=0, x=-1e6, y=0, size=1)  # out of the picture: nothing is drawn
    return render(head, {}, elsewhere, scene.lighting, np.zeros((1, 1, 3), np.uint8)).box[2]


@lru_cache(maxsize=4)
def _head(seed: int, gender: str | None) -> Head:
    return Head(sample_identity(seed, gender))


def _write_labels(plan: ClipPlan, actors: Sequence[Actor], sights: Sequence[Sight], out: Path) -> None:
    """The truth about all people of a clip, and their labels unless coders will give them."""
    visible = np.stack([sight.visible for sight in sights])  # (T, P)
    if plan.parts is None:
        labels = {
            name: visible_labels(actor.performance, visible[:, i])
            for i, (name, actor) in enumerate(zip(plan.names(), actors, strict=True))
        }
        write_annotations(out / "annotations", labels, force=True)
    for i, (name, actor) in enumerate(zip(plan.names(), actors, strict=True)):
        with write_beside(out / "truth" / f"{name}.csv") as part:
            truth_table(actor, sights, i).to_csv(part, index=False, lineterminator="\n")


def truth_table(actor: Actor, sights: Sequence[Sight], person: int) -> pd.DataFrame:
    """What is really so in each frame, counted from 1, seen or not; the box is empty out of the picture."""
    act = actor.performance
    boxes = np.round(np.stack([sight.boxes[person] for sight in sights]), 2)  # (T, 4)
    table = {
        "frame": np.arange(1, len(act) + 1),
        "time": np.round(act.times, 5),
        **dict(zip(("x", "y", "width", "height"), boxes.T, strict=True)),
        "visible": np.array([sight.visible[person] for sight in sights]).astype(int),
        "covered": np.round([sight.covered[person] for sight in sights], 3),
        "valence": act.valence,
        "arousal": act.arousal,
        "expression": act.expression,
        "talking": act.talking.astype(int),
        "blink": np.round(act.blink, 3),
        **{name: np.round(getattr(act, name), 3) for name in ("yaw", "pitch", "roll")},
        **{f"shown_{name}": values for name, values in act.strengths.items()},
        **act.intensities,
    }
    return pd.DataFrame(table)


def _begin(plans: Sequence[ClipPlan], out: Path, force: bool) -> None:
    """Make ``out`` the folder of these plans, or refuse."""
    plan_file = out / PLAN_FILE
    text = _plan_text(plans)
    if force:
        _remove(plans, out)
    elif plan_file.exists():
        if plan_file.read_text(encoding="utf-8") != text:
            raise UserError(out, "holds another corpus", "choose another output or add --force")
        if all(plan.video(out).exists() for plan in plans) and (out / "annotations").exists():
            raise UserError(out, "already exists", "choose another output or add --force")
    elif out.exists() and any(out.iterdir()):
        raise UserError(out, "already exists", "choose another output or add --force")
    _write_subjects(plans, out / "subjects.csv")
    with write_beside(plan_file) as part:
        part.write_text(text, encoding="utf-8")


def _remove(plans: Sequence[ClipPlan], out: Path) -> None:
    """Delete the corpus that is there, or the videos in the way; other files in the folder stay."""
    if (out / PLAN_FILE).exists():
        for folder in ("videos", "annotations", "truth"):
            shutil.rmtree(out / folder, ignore_errors=True)
        (out / PLAN_FILE).unlink()
    for plan in plans:
        plan.video(out).unlink(missing_ok=True)


def _plan_text(plans: Sequence[ClipPlan]) -> str:
    content = {"edition": _EDITION, "clips": [asdict(plan) for plan in plans]}
    return json.dumps(content, indent=1, default=str) + "\n"


def _write_subjects(plans: Sequence[ClipPlan], path: Path) -> None:
    rows = [
        {"video": plan.name, "person": person.side, "subject": person.subject} | _attributes(person)
        for plan in plans
        for person in plan.people
    ]
    with write_beside(path) as part:
        pd.DataFrame(rows).to_csv(part, index=False, lineterminator="\n")


def _attributes(person: PersonPlan) -> dict[str, str]:
    identity = sample_identity(person.seed, person.gender)
    return {
        "gender": identity.gender,
        "age": group(identity.age, AGES),
        "skin_tone": group(identity.melanin, SKIN_TONES),
        "hair": identity.hair_style,
        "beard": identity.beard,
        "glasses": "yes" if identity.glasses else "no",
    }


def group(value: float, groups: Mapping[str, float]) -> str:
    """The first group whose upper end lies above ``value``.

    >>> group(40, AGES)
    '35-54'
    """
    return next(name for name, end in groups.items() if value < end)
