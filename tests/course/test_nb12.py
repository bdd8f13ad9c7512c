"""Notebook 12: the calculations that settle contradictions, faults planted for the doctor, its exercises."""

import numpy as np
import pytest
import torch
from lookup import Lookup, numbered_faces
from torch import nn

from affkit.errors import UserError
from affkit.metrics import StreamingCCC
from affkit_course.exercises.nb12 import valid_size
from affkit_course.lessons import nb12 as lesson
from affkit_lab.experiments.generated_labels import Confidence
from affkit_lab.figures.architecture import paper_rows
from affkit_studio.doctor.report import examine

CORPUS = "data_samples/corpus"
CLIPS = ("clip_33", "clip_27", "clip_09", "clip_42")


def test_sizes_are_those_of_transposed_convolutions_and_of_the_exercise():
    layers = [(3, 1), (4, 2), (5, 3)]
    picture, side, sides, by_formula = torch.zeros(1, 1, 2, 2), 2, [], []
    for filter_side, stride in layers:
        picture = nn.ConvTranspose2d(1, 1, filter_side, stride)(picture)
        side = valid_size(side, filter_side, stride)
        sides.append(picture.shape[-1])
        by_formula.append(side)
    assert lesson.transposed_sizes(layers, "valid", side=2) == sides == by_formula
    assert lesson.transposed_sizes(layers, "same", side=2) == [2, 4, 12]


def test_the_layers_of_the_notebook_are_those_of_table_v():
    printed = [row for row in paper_rows("1", "generator") if row.filter]
    layers = [(int(row.filter.strip("[]").split(",")[0]), int(row.stride.split(",")[1])) for row in printed]
    assert layers == [(2, 1), (4, 2), (4, 2), (6, 2)]
    assert lesson.transposed_sizes(layers, "valid")[-1] == 32  # as the network draws: test_gan.py


def test_gradients_of_the_generator_are_the_derivatives_and_a_constant_teaches_nothing():
    table = lesson.generator_gradients([0.01, 0.3, 0.99])
    x = table.index.to_numpy()
    np.testing.assert_allclose(table["log"], 1 - x)  # d log(s(l)) / dl
    np.testing.assert_allclose(table["non-saturating"], x)  # d -log(1 - s(l)) / dl
    predicted = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (32, 2)))
    found = lesson.constant_target_gradients(predicted, 0.01)
    assert found["ccc"] == 0 and found["mse"] > 0.05


def test_eq_5_to_the_letter_is_no_ccc():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.3, 1000)
    metric = StreamingCCC()
    metric.update(x, x, np.ones(1000, bool))
    assert metric.compute() == pytest.approx(1)
    assert lesson.printed_ccc(x, x) == pytest.approx(1 / x.var())  # 2 s^2 / (2 s^4)


def test_hours_of_30_frames_a_second():
    assert [lesson.hours(frames) for frames in (30 * 3600, 234_000)] == pytest.approx([1, 2 + 10 / 60])


@pytest.mark.slow
def test_planted_faults_are_found_and_nothing_else(tmp_path):
    assert list(lesson.damaged_folder(CORPUS, tmp_path / "damaged", CLIPS)) == list(CLIPS)
    found = {one.code: " ".join(one.where) for one in examine(tmp_path / "damaged").findings}
    planted = {"lines-far-off": "clip_33", "crops-beyond-lines": "clip_33", "one-line-more": "clip_27"}
    planted |= {"in-two-sets": "clip_09", "crops-from-zero": "clip_42"}
    assert set(found) == {*planted, "task-missing"}
    for code, name in planted.items():
        assert [clip for clip in CLIPS if clip in found[code]] == [name]
    lesson.damaged_folder(CORPUS, tmp_path / "damaged", CLIPS)  # made anew
    with pytest.raises(UserError, match="no labels of valence and arousal"):
        lesson.damaged_folder(CORPUS, tmp_path / "other", (*CLIPS[:3], "clip_99"))
    assert not (tmp_path / "other").exists()


def test_the_survey_of_labels_is_counted_by_hand():
    rng = np.random.default_rng(3)
    probabilities = rng.choice([0.01, 0.3, 0.6, 0.95], (8, 8))
    va, sure = rng.uniform(-0.3, 0.3, (8, 2)), Confidence(0.5, 0.8, 0.2)
    faces = {"b": numbered_faces(4, mirrored=4)}
    row = lesson.label_survey({"a": Lookup(va, probabilities)}, faces, sure).loc[("a", "b")]
    plain, mirrored = probabilities[:4].ravel(), probabilities[4:].ravel()
    ones, zeros = (((plain == said) & (mirrored == said)).sum() for said in (0.95, 0.01))
    near = sum(abs(va[i] - va[i + 4]).max() <= 0.2 for i in range(4))
    assert ones and zeros and 0 < near < 4
    wanted = [np.percentile(plain, 95), np.mean(plain > 0.5), near / 4, (ones + zeros) / 32]
    np.testing.assert_allclose(row.to_numpy(), [*wanted, ones / (ones + zeros)], rtol=1e-5)
    unsure = lesson.label_survey({"a": Lookup(va, np.full((8, 8), 0.6))}, faces, sure)
    assert unsure["AUs given"].item() == 0 and np.isnan(unsure["active"].item())
