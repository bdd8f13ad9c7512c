"""What a face can be labelled with: valence and arousal, 8 action units, 7 expressions.

"Not labelled" is a mask, never a magic number: the -5 and -1 of the files end at
:mod:`affkit.labelfiles.formats`, and -1 stays what it is, the lowest valence there is.
"""

from dataclasses import dataclass, field, fields, replace

import numpy as np

ACTION_UNITS = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25")
"""The paper's eight action units, in the order of Table II."""

ACTIVE = 0.5
"""An action unit counts as predicted from this probability."""

ACTION_UNIT_NAMES = {
    "AU1": "inner brow raiser",
    "AU2": "outer brow raiser",
    "AU4": "brow lowerer",
    "AU6": "cheek raiser",
    "AU12": "lip corner puller",
    "AU15": "lip corner depressor",
    "AU20": "lip stretcher",
    "AU25": "lips part",
}
"""FACS names of the eight action units (Ekman & Friesen 1978; the paper's Figure 1)."""

ACTION_UNIT_THRESHOLD = 0.2
"""A unit is there, and labelled 1, above this fraction of its full intensity, where that is known, as in a
drawn corpus: a choice, about FACS level B, "slight"."""

EXPRESSIONS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
"""The seven basic expressions; the index in this tuple is the class number, as in Aff-Wild2."""

EXPRESSIONS_WITH_OTHER = (*EXPRESSIONS, "Other")
"""The eight expression classes of Aff-Wild2 from the third ABAW challenge on."""

VA = ("valence", "arousal")

KINDS = {
    "va": ("has_va", VA),
    "expr": ("has_expression", ("expression",)),
    "au": ("has_action_units", ("action_units",)),
}
"""Kind of label: its mask in :class:`Labels`, and what it masks."""

MOST_FRAMES = 24 * 60 * 60 * 60
"""A day at 60 frames a second. A frame number above it is a mistake, and would ask for much memory."""

EXPRESSION_PLACES = {
    "Happiness": (0.81, 0.51),
    "Surprise": (0.40, 0.67),
    "Anger": (-0.51, 0.59),
    "Fear": (-0.64, 0.60),
    "Disgust": (-0.60, 0.35),
    "Sadness": (-0.63, -0.27),
    "Neutral": (0.0, 0.0),
}
"""Valence and arousal of each emotion: J. A. Russell, A. Mehrabian, "Evidence for a three-factor theory of
emotions", J. Research in Personality 11(3), 1977, their pleasure and arousal; neutral is the origin by
definition."""

EXPRESSION_ACTION_UNITS: dict[str, dict[str, float]] = {
    "Neutral": {},
    "Happiness": {"AU12": 1.0, "AU25": 1.0, "AU6": 0.51},
    "Sadness": {"AU4": 1.0, "AU15": 1.0, "AU1": 0.60, "AU6": 0.50, "AU11": 0.26, "AU17": 0.67},
    "Fear": {"AU1": 1.0, "AU4": 1.0, "AU20": 1.0, "AU25": 1.0, "AU2": 0.57, "AU5": 0.63, "AU26": 0.33},
    "Anger": {"AU4": 1.0, "AU7": 1.0, "AU24": 1.0, "AU10": 0.26, "AU17": 0.52, "AU23": 0.29},
    "Surprise": {"AU1": 1.0, "AU2": 1.0, "AU25": 1.0, "AU26": 1.0, "AU5": 0.66},
    "Disgust": {"AU9": 1.0, "AU10": 1.0, "AU17": 1.0, "AU4": 0.31, "AU24": 0.26},
}
"""Fraction of people who show an action unit with an expression; 1.0 stands for "over 70 %, always".

S. Du, Y. Tao, A. M. Martinez, "Compound facial expressions of emotion", PNAS 111(15), 2014, Table 1.
"""


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of ``T`` consecutive frames of one face; row 0 is frame 1.

    A value counts only where its mask is true; where it is false the value is 0 and means nothing. Lengths
    that disagree, a labelled value out of range or a repeated name are a ``ValueError``.

    >>> labels = Labels.empty(3)
    >>> len(labels), labels.has_va.any()
    (3, np.False_)
    """

    valence: np.ndarray  # (T,) float32 in [-1, 1]
    arousal: np.ndarray  # (T,) float32 in [-1, 1]
    has_va: np.ndarray  # (T,) bool; the two are labelled together
    expression: np.ndarray  # (T,) int64, index into expression_names
    has_expression: np.ndarray  # (T,) bool
    action_units: np.ndarray  # (T, A) float32, 0 or 1, a column for each of action_unit_names
    has_action_units: np.ndarray  # (T, A) bool; a frame can be labelled for some action units only
    action_unit_names: tuple[str, ...] = field(default=ACTION_UNITS)
    expression_names: tuple[str, ...] = field(default=EXPRESSIONS)

    def __post_init__(self):
        num_frames, num_units = len(self.valence), len(self.action_unit_names)
        shapes = {
            name: (num_frames,) for name in ("valence", "arousal", "has_va", "expression", "has_expression")
        }
        shapes |= {name: (num_frames, num_units) for name in ("action_units", "has_action_units")}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        if len(set(self.action_unit_names)) != num_units:
            raise ValueError(f"an action unit is named twice: {self.action_unit_names}")
        for name in ("valence", "arousal"):
            labelled = getattr(self, name)[self.has_va]
            if not (np.abs(labelled) <= 1).all():  # also catches NaN
                raise ValueError(f"{name} outside [-1, 1]")
        if not np.isin(self.action_units[self.has_action_units], (0, 1)).all():
            raise ValueError("an action unit that is neither 0 nor 1")
        labelled = self.expression[self.has_expression]
        if ((labelled < 0) | (labelled >= len(self.expression_names))).any():
            raise ValueError(f"an expression outside 0..{len(self.expression_names) - 1}")

    @classmethod
    def empty(
        cls,
        num_frames: int,
        action_unit_names: tuple[str, ...] = ACTION_UNITS,
        expression_names: tuple[str, ...] = EXPRESSIONS,
    ) -> "Labels":
        """``num_frames`` frames with nothing labelled."""
        num_units = len(action_unit_names)
        return cls(
            valence=np.zeros(num_frames, np.float32),
            arousal=np.zeros(num_frames, np.float32),
            has_va=np.zeros(num_frames, bool),
            expression=np.zeros(num_frames, np.int64),
            has_expression=np.zeros(num_frames, bool),
            action_units=np.zeros((num_frames, num_units), np.float32),
            has_action_units=np.zeros((num_frames, num_units), bool),
            action_unit_names=tuple(action_unit_names),
            expression_names=tuple(expression_names),
        )

    def __len__(self) -> int:
        return len(self.valence)

    def __eq__(self, other: object) -> bool:
        """Same masks, same names, and same values wherever something is labelled."""
        if not isinstance(other, Labels):
            return NotImplemented
        masks = {"valence": "has_va", "arousal": "has_va", "expression": "has_expression"}
        masks |= {"action_units": "has_action_units"}
        exact = [f.name for f in fields(self) if f.name not in masks]
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in exact) and all(
            np.array_equal(
                getattr(self, name)[getattr(self, mask)], getattr(other, name)[getattr(self, mask)]
            )
            for name, mask in masks.items()
        )

    def __getitem__(self, rows) -> "Labels":
        """The labels of some frames: a slice, an index array or a boolean mask over frames."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if not f.name.endswith("_names")}
        return replace(self, **arrays)

    def with_action_units(self, names: tuple[str, ...]) -> "Labels":
        """The same labels with the action unit columns ``names``, found by name; unknown ones are masked.

        >>> Labels.empty(2, ("AU1", "AU7")).with_action_units(("AU7", "AU25")).action_units.shape
        (2, 2)
        """
        values = np.zeros((len(self), len(names)), np.float32)
        mask = np.zeros((len(self), len(names)), bool)
        for column, name in enumerate(names):
            if name in self.action_unit_names:
                source = self.action_unit_names.index(name)
                values[:, column] = self.action_units[:, source]
                mask[:, column] = self.has_action_units[:, source]
        return replace(self, action_units=values, has_action_units=mask, action_unit_names=tuple(names))
