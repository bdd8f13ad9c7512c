"""All bad inputs together."""

from mishaps.bad_data import bad_data
from mishaps.bad_labels import bad_labels
from mishaps.bad_networks import bad_networks
from mishaps.bad_options import bad_options
from mishaps.judge import BadInput

KINDS = ("label file", "prediction file", "subjects", "video", "checkpoint", "directions", "store, crops")
KINDS += (
    "store, information",
    "store, index",
    "pool",
    "partition",
    "favourites",
    "project",
    "option",
    "output",
)


def bad_inputs() -> list[BadInput]:
    """Every kind of file with every fault we know of, in the order of :data:`KINDS`."""
    made = [*bad_labels(), *bad_data(), *bad_networks(), *bad_options()]
    return sorted(made, key=lambda bad: KINDS.index(bad.kind))
