"""One clip: people who act in a scene, filmed frame by frame, with the truth about every frame."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from affkit.labels import Labels
from affkit_render.actions import facial_actions
from affkit_render.affect import Performance
from affkit_render.head import Head
from affkit_render.motion import smooth_noise, smoothstep
from affkit_render.render import Lighting, Pose, Rendering, render, sample_lighting
from affkit_render.wild import Camera, Occluder, draw_background, sample_camera, sample_occluder, to_light

VISIBLE_SHARE = 0.5
"""A face is visible when at least this fraction of its box is in the picture; else it has no labels."""

_MARGIN = 0.05  # of the height: how much more background is drawn than one frame shows


@dataclass(frozen=True)
class Actor:
    """Somebody in a clip of ``T`` frames, and where: paths ``(T,)`` in pixels, without the camera's shake."""

    head: Head
    performance: Performance
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray

    def pose(self, frame: int, shake: np.ndarray) -> Pose:
        """Where the head is and how it is turned in one frame, counted from 0."""
        act = self.performance
        return Pose(
            yaw=act.yaw[frame],
            pitch=act.pitch[frame],
            roll=act.roll[frame],
            x=self.x[frame] + shake[0],
            y=self.y[frame] + shake[1],
            size=self.size[frame],
        )

    def actions(self, frame: int) -> dict[str, float]:
        """The facial actions of one frame."""
        act = self.performance
        units = {unit: values[frame] for unit, values in act.intensities.items()}
        return facial_actions(units, act.asymmetry[frame], blink=act.blink[frame], jaw=act.jaw[frame])


@dataclass(frozen=True)
class Scene:
    """Where people act: a background a little larger than the picture, light, a camera, perhaps an occluder.

    The occluder, ``"hand"`` or ``"microphone"``, is before the face of the first actor.
    """

    width: int
    height: int
    background: np.ndarray
    lighting: Lighting
    camera: Camera
    occluder: str | None = None


@dataclass(frozen=True)
class Sight:
    """What is to be seen of ``P`` people in one frame.

    ``boxes``: ``(P, 4)`` true face boxes x, y, width, height in pixels; NaN for who is out of the picture.
    ``visible``: ``(P,)`` bool, see :data:`VISIBLE_SHARE`.
    ``covered``: ``(P,)`` fraction of the box that the occluder hides.
    """

    boxes: np.ndarray
    visible: np.ndarray
    covered: np.ndarray


def sample_scene(
    rng: np.random.Generator,
    times: np.ndarray,
    width: int,
    height: int,
    background: str | None = None,
    occluder: str | None = None,
    noise: float | None = None,
) -> Scene:
    """Draw a scene for frames at ``times``; see :mod:`affkit_render.wild` for the kinds of things in it."""
    margin = round(_MARGIN * height)
    place = draw_background(rng, width + 2 * margin, height + 2 * margin, background)
    camera = sample_camera(rng, times, width, height, noise)
    return Scene(width, height, place, sample_lighting(rng), camera, occluder)


def place_actor(
    rng: np.random.Generator,
    head: Head,
    performance: Performance,
    scene: Scene,
    face: float,
    centre: tuple[float, float] = (0.5, 0.5),
    away: tuple[float, float] | None = None,
) -> Actor:
    """Put somebody into a scene, moving a little about a place.

    ``face``: Height of the face in pixels, on average.
    ``centre``: Where the head is, as fractions of width and height.
    ``away``: When the person begins to leave the picture and to come back, in seconds; ``None`` is never.
    """
    times = performance.times
    size = face * np.exp(np.clip(smooth_noise(rng, times, 0.03, 0.03, 0.3), -0.08, 0.08))
    x = scene.width * centre[0] + smooth_noise(rng, times, 0.07, 0.05, 0.4) * face
    y = scene.height * centre[1] + smooth_noise(rng, times, 0.03, 0.05, 0.4) * face
    if away is not None:
        side = 1 if rng.uniform() < 0.5 else -1
        gone = smoothstep((times - away[0]) / 0.9) - smoothstep((times - away[1]) / 0.9)
        x = x + side * gone * (scene.width / 2 + 1.2 * face)
        turned = np.clip(performance.yaw + 0.6 * side * np.gradient(gone, times) * 0.9, -0.8, 0.8)
        performance = replace(performance, yaw=turned)
    return Actor(head, performance, x, y, size)


def render_clip(actors: Sequence[Actor], scene: Scene, seed: int) -> Iterator[tuple[np.ndarray, Sight]]:
    """Film the actors: for each frame of their performances a picture ``(H, W, 3)`` uint8 RGB, and the truth.

    Actors who stand further back (who are smaller) are drawn first. Same arguments, same pixels; ``seed``
    is for the occluder and the noise of the camera.
    """
    num_frames = len(actors[0].performance)
    thing = _occluder(actors[0], scene, seed)
    order = np.argsort([actor.size.mean() for actor in actors], kind="stable")
    for frame in range(num_frames):
        shake = scene.camera.shake[frame]
        image = _background(scene, shake)
        boxes, covered = np.full((len(actors), 4), np.nan), np.zeros(len(actors))
        for person in order:
            rendering = _draw(actors[person], scene, frame, image)
            if rendering is not None:
                image, boxes[person] = rendering.image, rendering.box
        if thing is not None and not np.isnan(boxes[0]).any():
            image, opacity = thing.cover(image, boxes[0], frame)
            covered[0] = _mean_inside(opacity, boxes[0])
        noise = np.random.default_rng([seed, frame])
        image = scene.camera.take(image, frame, noise, _moved(actors[0], scene, frame))
        inside = np.array([_share_inside(box, scene.width, scene.height) for box in boxes])
        yield image, Sight(boxes, inside >= VISIBLE_SHARE, covered)


def visible_labels(performance: Performance, visible: np.ndarray) -> Labels:
    """The labels of a performance, masked where the face is not visible, ``(T,)`` bool.

    A masked value is 0, as everywhere: what is not seen is not labelled.
    """
    labels = performance.labels
    return replace(
        labels,
        valence=np.where(visible, labels.valence, 0),
        arousal=np.where(visible, labels.arousal, 0),
        has_va=visible.copy(),
        expression=np.where(visible, labels.expression, 0),
        has_expression=visible.copy(),
        action_units=np.where(visible[:, None], labels.action_units, 0),
        has_action_units=np.repeat(visible[:, None], labels.action_units.shape[1], axis=1),
    )


def _draw(actor: Actor, scene: Scene, frame: int, image: np.ndarray) -> Rendering | None:
    """The actor in front of ``image``, or ``None`` when out of the picture."""
    pose = actor.pose(frame, scene.camera.shake[frame])
    if abs(pose.x - scene.width / 2) > scene.width / 2 + pose.size:
        return None
    gaze = tuple(actor.performance.gaze[frame])
    return render(actor.head, actor.actions(frame), pose, scene.lighting, image, gaze=gaze)


def _background(scene: Scene, shake: np.ndarray) -> np.ndarray:
    """What the camera sees of the background; far things shake as near ones do when the camera turns."""
    room = np.array(scene.background.shape[1::-1]) - (scene.width, scene.height)
    left, top = np.clip(np.rint(room / 2 - shake), 0, room).astype(int)
    return scene.background[top : top + scene.height, left : left + scene.width].copy()


def _occluder(actor: Actor, scene: Scene, seed: int) -> Occluder | None:
    """The thing before the face; a hand has the colour that this person's skin has in this light."""
    if scene.occluder is None:
        return None
    pose = Pose(yaw=0, pitch=0, roll=0, x=scene.width / 2, y=scene.height / 2, size=actor.size[0])
    rendering = render(actor.head, {}, pose, scene.lighting, _background(scene, np.zeros(2)))
    x, y, width, height = np.rint(rendering.box).astype(int)
    cheek = rendering.image[y + height // 2 : y + height * 3 // 4, x + width // 4 : x + width * 3 // 4]
    skin = to_light(np.median(cheek, axis=(0, 1)).astype(np.uint8))
    rng = np.random.default_rng([seed, len(actor.performance)])
    return sample_occluder(rng, actor.performance.times, skin, scene.occluder)


def _moved(actor: Actor, scene: Scene, frame: int) -> tuple[float, float]:
    """How far the head moved in the picture since the frame before, in pixels."""
    if frame == 0:
        return 0.0, 0.0
    shake = scene.camera.shake[frame] - scene.camera.shake[frame - 1]
    dx, dy = actor.x[frame] - actor.x[frame - 1], actor.y[frame] - actor.y[frame - 1]
    return float(dx + shake[0]), float(dy + shake[1])


def _share_inside(box: np.ndarray, width: int, height: int) -> float:
    """Share of a box that lies in the picture; 0 for a box of NaN."""
    if np.isnan(box).any():
        return 0.0
    x, y, w, h = box
    wide = max(0.0, min(x + w, width) - max(x, 0.0))
    tall = max(0.0, min(y + h, height) - max(y, 0.0))
    return wide * tall / (w * h)


def _mean_inside(opacity: np.ndarray, box: np.ndarray) -> float:
    x, y, w, h = np.rint(box).astype(int)
    part = opacity[max(y, 0) : y + h, max(x, 0) : x + w]
    return float(part.mean()) if part.size else 0.0
