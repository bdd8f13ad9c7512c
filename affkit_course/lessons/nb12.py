"""What labellers say about faces, and when they are sure, for notebook 12."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from affkit.evaluation.predict import FacePredictor, predict_faces
from affkit.labels import ACTION_UNITS, VA
from affkit_lab.experiments.generated_labels import Confidence, sure_labels


def label_survey(
    labellers: Mapping[str, FacePredictor], faces: Mapping[str, np.ndarray], sure: Confidence
) -> pd.DataFrame:
    """How each labeller reads each kind of faces, and what of that becomes a label.

    Parameters
    ----------
    labellers:
        Networks that tell valence, arousal and action units.
    faces:
        ``(N, S, S, 3)`` uint8 each, at least as large as the networks read.
    sure:
        When a reading becomes a label, see :func:`~affkit_lab.experiments.generated_labels.sure_labels`.

    Returns
    -------
    DataFrame
        A row for each labeller and kind of faces: ``95% below``, what so many of the probabilities of all
        action units do not pass; ``from 0.5``, the share of them that is not below 0.5; ``V-A given`` and
        ``AUs given``, the shares that are labelled; ``active``, the share of the units labelled that is
        labelled 1, NaN if none is labelled.
    """
    rows, units = {}, list(ACTION_UNITS)
    for name, labeller in labellers.items():
        for kind, images in faces.items():
            said = pd.DataFrame(predict_faces(labeller, images))[units].to_numpy()  # (N, 8)
            labels = sure_labels(labeller, images, sure)
            given = labels[units].to_numpy(float, na_value=np.nan)  # (N, 8)
            known = given[~np.isnan(given)]
            rows[name, kind] = {
                "95% below": float(np.quantile(said, 0.95)),
                "from 0.5": float((said >= 0.5).mean()),
                "V-A given": float(labels[VA[0]].notna().mean()),
                "AUs given": len(known) / given.size,
                "active": float(known.mean()) if len(known) else np.nan,
            }
    return pd.DataFrame(rows).T.rename_axis(["labeller", "faces"])
