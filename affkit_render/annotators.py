"""A drawn corpus is annotated: three coders and eight raters, each with a table of labels (Section III.B-D).

The truth is known for every frame of a drawn corpus. The paper's labels were not: three people marked action
units and expressions, eight moved a joystick. Here they are simulated, so that agreement and its traps can
be studied on raw annotations, and the labels of the corpus come about as the paper's did.
"""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from tqdm import tqdm

from affkit.corpus.corpus import TRUTH_FOLDER, read_ground_truths
from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside
from affkit.labelfiles.formats import merge
from affkit.labelfiles.tables import write_table
from affkit.labels import Labels
from affkit_render.affect import SHOWN_UNITS
from affkit_render.coders import SHOWN_COLUMNS, code_action_units, code_expressions, sample_coders
from affkit_render.raters import rate, sample_raters, stream

CODER_FOLDER, RATER_FOLDER = "coders", "raters"

TRUTH_COLUMNS = ("time", "visible", "covered", "valence", "arousal", "talking", *SHOWN_COLUMNS, *SHOWN_UNITS)
"""What annotators look at in a truth table."""


def annotate_corpus(
    root: str | Path,
    seed: int = 0,
    action_unit_names: Collection[str] = (),
    expression_names: Collection[str] = (),
    passes: int = 2,
    force: bool = False,
    progress: bool = True,
) -> None:
    """Have three coders and eight raters annotate a drawn corpus.

    Reads ``truth/*.csv`` below ``root`` and writes what each of them says as ``coders/A1.csv`` ... and
    ``raters/R1.csv`` ..., see :func:`~affkit.labelfiles.tables.write_table`. Same arguments, same bytes.

    ``seed``: Of the people who annotate and of all they do.
    ``action_unit_names``, ``expression_names``: Which of the labels in ``truth`` (``clip``, or ``clip_left``
        and ``clip_right``) the coders code; raters rate all.
    ``passes``: 1 keeps what coders said before they watched again.

    Raises :class:`UserError` if there is no truth, a name has none or a column is missing, or somebody
    annotated already.
    """
    root = Path(root)
    truths = read_ground_truths(root, TRUTH_COLUMNS)
    for name in sorted({*action_unit_names, *expression_names} - set(truths)):
        raise UserError(root / TRUTH_FOLDER, f"holds no {name}.csv", "leave this name out or film the clip")
    for folder in (CODER_FOLDER, RATER_FOLDER):
        refuse_existing(root / folder, force)
    coders, raters = sample_coders(seed), sample_raters(seed)
    coded = {coder.name: {} for coder in coders}
    rated = {rater.name: {} for rater in raters}
    for name, truth in tqdm(truths.items(), desc="annotate", unit="clip", delay=2, disable=not progress):
        clip_seed = int(stream(seed, "clip", name).integers(2**31))
        for rater in raters:
            rated[rater.name][name] = rate(truth, rater, clip_seed)
        if name in action_unit_names or name in expression_names:
            for coder in coders:
                parts = []
                if name in action_unit_names:
                    parts.append(code_action_units(truth, coder, clip_seed, passes))
                if name in expression_names:
                    parts.append(code_expressions(truth, coder, clip_seed, passes))
                coded[coder.name][name] = merge(*parts, name=name)
    _write_tables(root / CODER_FOLDER, coded, ("expr", "au"))
    _write_tables(root / RATER_FOLDER, rated, ("va",))


def _write_tables(folder: Path, people: Mapping[str, Mapping[str, Labels]], tasks: tuple[str, ...]) -> None:
    """A table for each of them who labelled anything, all or none; what was in ``folder`` is replaced."""
    with write_beside(folder) as part:
        shutil.rmtree(part, ignore_errors=True)  # of a run that was stopped
        part.mkdir(parents=True)
        for name, labels in people.items():
            if labels:
                write_table(part / f"{name}.csv", labels, tasks)
        shutil.rmtree(folder, ignore_errors=True)
