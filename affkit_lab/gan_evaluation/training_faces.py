"""The training faces nearest to a generated one: is it somebody who was there?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from affkit.store import Store
from affkit_lab.backbones.feature_net import FeatureNet
from affkit_lab.gan_evaluation.gan_scores import features_of
from affkit_lab.gan_evaluation.memorization import copy_threshold, nearest, real_distances


class TrainingFaces:
    """Faces of a store, described once, so that the nearest of them can be asked for again and again.

    Parameters
    ----------
    store:
        The faces the generator was trained on.
    rows:
        Which of them; all by default.

    Attributes
    ----------
    threshold:
        A ``CopyThreshold``: how near is a copy. None where the store does not say
        who is in it, so nobody knows how far two pictures of one person are apart.

    Raises
    ------
    UserError
        If the store says who is in it, and it is one person only, or nobody is seen at two moments.
    """

    def __init__(self, store: Store, feature_net: FeatureNet, rows: Sequence[int] | None = None):
        self.store, self.feature_net = store, feature_net
        self.rows = np.arange(len(store)) if rows is None else np.asarray(rows, np.int64)
        self.points = features_of(feature_net, store.batch(self.rows))  # (1, N, D)
        known = "subject" in store.index
        # without subjects, pictures of one clip are as good a guess as any
        self._who = store.index["subject" if known else "video"].to_numpy()[self.rows]
        self._alone = not known and len(np.unique(self._who)) == 1
        self.threshold = copy_threshold(*real_distances(self.points, store, self.rows)) if known else None

    def nearest(self, face: np.ndarray, count: int = 3) -> pd.DataFrame:
        """The people most like ``face``, ``(S, S, 3)`` uint8, each with the picture nearest to it.

        Returns
        -------
        DataFrame
            Nearest first, at most ``count``: ``row`` of the store; ``distance`` of the features; ``who``, the
            subject, or the clip where no subjects are known; ``copy``, whether it is nearer than
            ``threshold``, missing where there is none. In a store of one clip and no subjects, such as a
            pool of faces, every picture counts as somebody else.
        """
        point = features_of(self.feature_net, face[None])[0]  # (1, D)
        free, found = np.ones(len(self.rows), bool), []
        while free.any() and len(found) < count:
            number, distance = nearest(point, self.points, lambda _, free=free: free[None])
            first = int(number[0])
            copy = pd.NA if self.threshold is None else bool(distance[0] <= self.threshold.distance)
            found.append((int(self.rows[first]), float(distance[0]), self._who[first], copy))
            free = free & (self._who != self._who[first])
            if self._alone:
                free = ~np.isin(self.rows, [row for row, *_ in found])
        return pd.DataFrame(found, columns=["row", "distance", "who", "copy"])
