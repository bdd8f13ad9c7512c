"""affkit: from a raw clip to valence-arousal, action units, expressions and generated faces.

The library behind the notebooks. Its usual names are here as well, and are loaded when they are asked for.
"""

from importlib import import_module

__version__ = "0.1.0"

HOMES = {
    "errors": ["UserError"],
    "files": ["fresh"],
    "labels": ["ACTION_UNITS", "EXPRESSIONS", "VA", "Labels"],
    "corpus.corpus": ["Corpus", "part_names"],
    "corpus.split_by_subject": ["split_corpus"],
    "video.convert": ["convert_videos"],
    "video.video": ["probe", "read_frames"],
    "faces.extract": ["extract_faces"],
    "faces.sampling": ["sample_faces"],
    "store": ["FrameDataset", "SequenceDataset", "Store", "to_unit_range"],
    "store_subsets": ["select_rows"],
    "checkpoints": ["load_checkpoint", "save_checkpoint"],
    "evaluation.predict": ["predict_store"],
}


def __getattr__(name: str):
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"affkit.{home}"), name)
    raise AttributeError(f"module 'affkit' has no attribute {name!r}")
