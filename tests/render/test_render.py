"""The renderer: same seed same pixels, the shapes of the assets' own model, faces where the box says."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from affkit.errors import UserError
from affkit.faces.detectors import Box
from affkit.labels import EXPRESSION_ACTION_UNITS
from affkit_render import assets
from affkit_render.actions import AU_ACTIONS, facial_actions
from affkit_render.assets import catmull_clark
from affkit_render.head import REST_ACTIONS, Head
from affkit_render.identity import BEARDS, HAIR_STYLES, Identity, sample_identity
from affkit_render.render import HeadView, Lighting, Pose, render, sample_lighting

pytestmark = pytest.mark.slow  # draws faces

SIZE = 96
FLAT = Lighting(
    (0, 0.3, 0.954), (0.7,) * 3, (0, 0, 1), (0.2,) * 3, (0, 0.6, -0.8), (0,) * 3, (0.4,) * 3, (0.3,) * 3
)
GREY = np.full((SIZE, SIZE, 3), 120, np.uint8)
FRONT = Pose(0, 0, 0, SIZE / 2, SIZE / 2, 62)
POSES = (FRONT, Pose(0.35, -0.1, 0.2, 40.5, 52.25, 50), Pose(-0.3, 0.15, -0.2, 55, 45, 70))


@pytest.fixture(scope="module")
def head() -> Head:
    return Head(sample_identity(2))


def draw(head, actions=None, pose=FRONT, **more):
    return render(head, actions or {}, pose, FLAT, GREY, **more)


def digest(head) -> str:
    return hashlib.sha256(draw(head, {"jawOpen": 0.5}).image.tobytes()).hexdigest()


def region(head, low, high, reach):
    """Pixels of the front picture between two heights of the base mesh and within ``reach`` of the middle."""
    rest = assets.rig().rest
    near = (rest[:, 1] > low) & (rest[:, 1] < high) & (np.abs(rest[:, 0]) < reach) & (rest[:, 2] > 1)
    spots = np.rint(HeadView(head, FRONT).project(head.neutral[near])).astype(int)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(spots.astype(np.int32)), 1)
    return mask.astype(bool)


def test_another_process_draws_the_same_pixels(head):
    code = (
        "import sys; sys.path.insert(0, 'tests/render'); import test_render as t;"
        "print(t.digest(t.Head(t.sample_identity(2))))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == digest(head)


def test_drawing_leaves_the_head_and_the_background_alone(head):
    before, background = draw(head).image, GREY.copy()
    draw(head, {"jawOpen": 1.0}, Pose(0.4, 0.1, 0.1, 40, 40, 50))
    np.testing.assert_array_equal(draw(head).image, before)
    np.testing.assert_array_equal(GREY, background)


def test_actions_move_vertices_as_in_annys_own_forward(head):
    anny = pytest.importorskip("anny")
    model = anny.Anny(facial_actions="all", topology="makehuman-full", rig="makehuman")
    rng = np.random.default_rng(0)
    skin = assets.rig().parts["skin"]
    smooth = assets.rig().smooth[skin]
    pose = torch.eye(4)[None, None].repeat(1, len(model.bone_labels), 1, 1)
    columns = np.full(len(assets.base_mesh().vertices), -1)
    columns[model.base_mesh_vertex_indices.numpy()] = np.arange(len(model.base_mesh_vertex_indices))

    def forward(actions):
        values = {name: torch.tensor([float(weight)]) for name, weight in actions.items()}
        with torch.no_grad():
            found = model(pose_parameters=pose, facial_actions=values)["vertices"][0].numpy()
        metres = found[columns]  # z up, y to the back
        return 10 * np.stack([metres[:, 0], metres[:, 2], -metres[:, 1]], axis=1)

    still = forward({})
    for _ in range(3):
        names = rng.choice(assets.action_names(), 6, replace=False)
        actions = {str(name): rng.uniform(0, 1) for name in names}
        theirs = smooth @ (forward(actions) - still)
        ours = (head.deform(actions) - head.neutral)[skin]
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_deform_is_linear_and_refuses_unknown_actions(head):
    a, b = {"jawOpen": 0.4}, {"browInnerUp": 0.7}
    together = head.deform(a | b) - head.neutral
    np.testing.assert_allclose(together, head.deform(a) + head.deform(b) - 2 * head.neutral, atol=1e-5)
    with pytest.raises(ValueError, match="wiggleEars"):
        head.deform({"wiggleEars": 1.0})


@pytest.mark.parametrize(("unit", "low", "high", "reach"), [
    ("AU1", 7.36, 7.95, 0.5), ("AU2", 7.36, 7.95, 0.8), ("AU4", 7.25, 7.75, 0.7), ("AU5", 7.15, 7.50, 0.7),
    ("AU6", 6.85, 7.45, 0.8), ("AU9", 6.75, 7.60, 0.7), ("AU12", 6.35, 7.10, 0.7), ("AU15", 6.25, 6.90, 0.6),
    ("AU17", 6.20, 6.90, 0.6), ("AU20", 6.25, 7.00, 0.7), ("AU25", 6.20, 6.95, 0.5),
])  # fmt: skip
def test_an_action_unit_changes_its_own_part_of_the_face(head, unit, low, high, reach):
    change = np.abs(draw(head, facial_actions({unit: 1.0})).image.astype(int) - draw(head).image).sum(2)
    own = region(head, low, high, reach)
    assert change[own].mean() > 5  # visible: grey levels summed over three channels
    assert change[own].sum() > 0.75 * change.sum()


def test_action_units_look_different_from_each_other(head):
    pictures = [draw(head, facial_actions({unit: 1.0})).image.ravel().astype(float) for unit in AU_ACTIONS]
    assert pdist(pictures, "cityblock").min() > 0.05 * pictures[0].size


@pytest.mark.parametrize("pose", POSES)
def test_the_box_holds_eyes_and_mouth_and_no_more_than_the_head(head, pose):
    found = draw(head, {"jawOpen": 0.5}, pose)
    x, y, width, height = found.box
    rig = assets.rig()
    marks = np.concatenate([[ball.centre for ball in head.eyeballs], head.neutral[rig.masks["lips"] > 0.5]])
    spots = HeadView(head, pose).project(marks)
    assert ((spots > [x, y]) & (spots < [x + width, y + height])).all()
    columns = np.nonzero(found.mask[int(y) : int(y + height)].any(0))[0]
    assert columns.min() <= x + 1 and columns.max() >= min(x + width, SIZE) - 2
    assert 0.6 < width / height < 1.5


def test_the_mask_is_where_the_background_is_gone(head):
    pale = render(head, {}, FRONT, FLAT, GREY + 100)
    dark = render(head, {}, FRONT, FLAT, GREY * 0)
    same = (pale.image == dark.image).all(2)
    assert same[pale.mask == 1].all()
    np.testing.assert_array_equal(pale.image[pale.mask == 0], 220)
    assert 0.3 < pale.mask.mean() < 0.9


def test_mirrored_poses_give_mirrored_silhouettes(head):
    middle = (SIZE - 1) / 2
    left = draw(head, pose=Pose(0.4, 0.1, 0.15, middle, middle, 55)).mask > 0.5
    right = draw(head, pose=Pose(-0.4, 0.1, -0.15, middle, middle, 55)).mask > 0.5
    overlap = (left & right[:, ::-1]).sum() / (left | right[:, ::-1]).sum()
    assert overlap > 0.96
    assert (left & right).sum() / (left | right).sum() < overlap


def test_size_is_chin_to_hairline_in_pixels(head):
    rest = assets.rig().rest
    middle = np.abs(rest[:, 0]) + 10 * (rest[:, 2] < 1.3)
    ends = [head.neutral[np.argmin(3 * middle + np.abs(rest[:, 1] - y))] for y in (6.23, 7.92)]
    (_, chin), (_, hairline) = HeadView(head, FRONT).project(np.array(ends))
    assert chin - hairline == pytest.approx(FRONT.size, rel=0.05)


def test_a_turn_to_the_right_moves_the_nose_right_and_gaze_moves_the_iris(head):
    rest = assets.rig().rest
    nose = head.neutral[[np.argmax(rest[:, 2] * (np.abs(rest[:, 1] - 6.9) < 0.1))]]
    for change, axis, sign in (({"yaw": 0.3}, 0, 1), ({"pitch": 0.3}, 1, -1)):
        moved = HeadView(head, replace(FRONT, **change)).project(nose) - HeadView(head, FRONT).project(nose)
        assert sign * moved[0, axis] > 2
    eye = HeadView(head, FRONT).project(head.eyeballs[0].centre[None])[0].astype(int)
    patch = np.s_[eye[1] - 3 : eye[1] + 4, eye[0] - 5 : eye[0] + 6]

    def centre_of_dark(gaze):
        dark = 255.0 - draw(head, {"eyeWideLeft": 1.0}, gaze=gaze).image[patch].mean(2)
        return (dark * np.arange(11)).sum() / dark.sum()

    assert centre_of_dark((0.4, 0)) > centre_of_dark((-0.4, 0)) + 0.3


def test_a_head_may_leave_the_picture_step_by_step_and_outside_it_changes_nothing(head):
    """At some place only a lock of hair is left, or only an ear."""
    for who in (head, Head(replace(sample_identity(2), hair_style="long"))):
        steps = [draw(who, pose=replace(FRONT, x=float(x))) for x in range(SIZE // 2, 2 * SIZE, 2)]
        seen = [(step.image != GREY).any(axis=2).mean() for step in steps]
        assert seen[0] > 0.2 and seen[-1] == 0
        assert 0 < min(fraction for fraction in seen if fraction) < 0.002
    outside = draw(head, pose=Pose(0, 0, 0, -900, 40, 60))
    np.testing.assert_array_equal(outside.image, GREY)
    assert outside.mask.max() == 0 and outside.box[0] < 0


def test_identities_survive_json_and_follow_the_seed():
    for seed in range(40):
        person = sample_identity(seed)
        assert Identity.from_json(person.to_json()) == person == sample_identity(seed)
        assert person.hair_style in HAIR_STYLES and person.beard in BEARDS and 18 <= person.age <= 80
        assert person.gender == "male" or person.beard == "none"
        for name in person.shape:
            assert assets.target(name)[1].shape[1:] == (3,)  # the file is there
    assert {sample_identity(seed, "female").gender for seed in range(9)} == {"female"}
    with pytest.raises(ValueError, match="gender"):
        sample_identity(0, "other")


def test_facial_actions_follow_units_side_and_extras():
    strong = facial_actions({"AU12": 1.0}, asymmetry=1.0)
    assert strong["mouthSmileLeft"] == pytest.approx(3 * strong["mouthSmileRight"])
    assert facial_actions({}, blink=0.4) == {"eyeBlinkLeft": 0.4, "eyeBlinkRight": 0.4}
    expected = 0.5 * AU_ACTIONS["AU26"]["jawOpen"] + 0.1
    assert facial_actions({"AU26": 0.5}, jaw=0.1)["jawOpen"] == pytest.approx(expected)
    with pytest.raises(ValueError, match="AU99"):
        facial_actions({"AU99": 1.0})
    known = set(assets.action_names())
    assert all(set(actions) <= known for actions in AU_ACTIONS.values()) and set(REST_ACTIONS) <= known
    assert all(set(units) <= set(AU_ACTIONS) for units in EXPRESSION_ACTION_UNITS.values())


def test_subdivision_keeps_a_plane_a_plane_and_its_outline_inside():
    across, up = np.meshgrid(np.arange(4), np.arange(5))
    points = np.stack([across.ravel(), up.ravel()], axis=1).astype(float)
    first = (np.arange(4)[:, None] * 4 + np.arange(3)).ravel()
    quads = np.stack([first, first + 1, first + 5, first + 4], axis=1)
    matrix, fine = catmull_clark(quads, len(points))
    smooth = matrix @ points
    assert len(fine) == 4 * len(quads) and fine.max() == len(smooth) - 1
    assert smooth.min() >= 0 and (smooth.max(0) <= [3, 4]).all()
    a, b, c, d = (smooth[fine[:, k]] for k in range(4))
    areas = np.linalg.det(np.stack([c - a, d - b], axis=1)) / 2
    assert (areas > 0).all() and 11 < areas.sum() <= 12


def test_without_the_assets_the_mend_is_named(monkeypatch):
    monkeypatch.setattr(assets, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        assets.data_folder.__wrapped__()


def test_a_detector_finds_the_face_where_the_box_says():
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    background, pose = np.full((200, 200, 3), 150, np.uint8), Pose(0, 0, 0, 100, 105, 100)
    rng = np.random.default_rng(5)
    for seed in range(40, 46):
        drawn = render(Head(sample_identity(seed)), {}, pose, sample_lighting(rng), background)
        boxes = detector.detectMultiScale(cv2.cvtColor(drawn.image, cv2.COLOR_RGB2GRAY), 1.1, 4)
        assert sum(Box(*map(float, box)).iou(Box(*drawn.box)) > 0.5 for box in boxes) == 1
