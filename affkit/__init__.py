"""affkit: from a raw clip to valence-arousal, action units, expressions and generated faces.

Read these, in this order; the rest is what they rest on.

1. ``labels``: two numbers, eight action units, seven expressions; what is not labelled is a mask
2. ``losses``: Eq. 1 to 6, a function each; ``metrics``: the criteria of Section IV.D
3. ``gan``: Tables V to VIII; ``train_gan``: one step of it, from top to bottom
4. ``multitask``: VGGFACE-GRU-attention, Figure 5; ``train_multitask``: one step of it
5. ``store``: face crops on disk, as tensors; ``augment``: what the discriminator sees of them
6. ``loop``: what every run has in common; ``checkpoints``: a network as a file

``video``, ``faces``, ``labelfiles`` and ``corpus`` make a store from clips and label files, ``evaluation``
says how good predictions are, ``commands`` is the command line. The usual names are here as well, loaded
when asked for.
"""

from importlib import import_module

__version__ = "0.1.0"

HOMES = {  # module: names
    "errors": "UserError",
    "files": "fresh",
    "labels": "ACTION_UNITS EXPRESSIONS VA Labels",
    "losses": "ccc fake_images_loss generator_loss multitask_loss real_loss reconstruction_loss",
    "gan": "Discriminator GanNetConfig Generator generate sample_z",
    "multitask": "AffWildNet AffWildNetConfig",
    "store": "FrameDataset SequenceDataset Store batches image_grid pictures select_rows to_pixels"
    " to_unit_range",
    "labelfiles.layouts": "read_annotations",
    "checkpoints": "load_checkpoint save_checkpoint",
    "corpus.corpus": "Corpus part_names",
    "corpus.split_by_subject": "split_corpus",
    "video.convert": "convert_videos",
    "video.video": "Video",
    "faces.pool": "join_stores pool_store read_pool with_pool without_labels",
    "faces.extract": "extract_faces sample_faces",
    "evaluation.predict": "predict_store",
}


def __getattr__(name: str):
    for home, names in HOMES.items():
        if name in names.split():
            return getattr(import_module(f"affkit.{home}"), name)
    raise AttributeError(f"module 'affkit' has no attribute {name!r}")
