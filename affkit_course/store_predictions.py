"""Write the predictions that notebook 10 judges: what the shipped networks say about people they never saw.

    python -m affkit_course.store_predictions --data STORE --partition PARTITION -o FOLDER

FOLDER is ``data_samples/results/predictions``. STORE holds the faces of ``data_samples/corpus`` in 96
pixels, made with its labels; PARTITION is that of the expressions (``affkit split --sizes 30,10,15 --task
expr``). Action units are those of ``cnn.safetensors``, all else is of ``affwildnet.safetensors``.
"""

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from affkit.corpus.partition import read_partition
from affkit.errors import UserError
from affkit.evaluation.predict import predict_store
from affkit.files import write_beside
from affkit.labels import ACTION_UNITS
from affkit.store import Store, select_rows

WEIGHTS = Path(__file__).parent.parent / "data_samples" / "weights"
Needed = Annotated[Path, typer.Option()]


def predictions(store: Store, partition: Path) -> pd.DataFrame:
    """A row for each face of the people in the validation and in the test set, by name and frame."""
    partition = read_partition(partition).whole()
    name_of = {who: name for name, who in partition.subjects.items()}
    parts = []
    for subset in ("validation", "test"):
        part = select_rows(store, partition.rows(store.index)[subset])
        said = predict_store(WEIGHTS / "affwildnet.safetensors", part)
        units = predict_store(WEIGHTS / "cnn.safetensors", part)[list(ACTION_UNITS)]
        names = part.index["subject"].map(lambda who: name_of.get(who, who))  # without subjects.csv: the name
        said = pd.concat([said.drop(columns="person"), units], axis=1).assign(name=names, set=subset)
        parts.append(said.assign(subject=names.map(partition.subjects)))
    heads = ["name", "video", "frame", "subject", "set"]
    table = pd.concat(parts).astype({"video": str})
    return table[heads + [name for name in table if name not in heads]].sort_values(["name", "frame"])


def main(data: Needed, partition: Needed, out: Annotated[Path, typer.Option("--out", "-o")]) -> None:
    """Write ``mtl.csv.gz``."""
    try:
        table = predictions(Store.open(data), partition)
    except UserError as error:
        print(f"affkit: {error}", file=sys.stderr)
        sys.exit(2)
    with write_beside(out / "mtl.csv.gz") as part:
        how = {"method": "gzip", "mtime": 0}  # the same table, the same bytes
        table.to_csv(part, index=False, float_format="%.3f", compression=how, lineterminator="\n")
    print(f"{len(table)} faces in {out / 'mtl.csv.gz'}")


if __name__ == "__main__":
    typer.run(main)
