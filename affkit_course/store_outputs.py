"""Run notebooks from top to bottom and store them with their outputs, as the course keeps them in git.

    python -m affkit_course.store_outputs notebooks/00_start_here.ipynb

Timings, widget states and whatever else changes from run to run are left out, so that a diff shows results.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

from affkit.files import write_beside
from affkit_course.run import kernel_config

KEPT = ("kernelspec", "language_info", "affkit")


def store_outputs(path: Path) -> None:
    """Execute one notebook in its own folder and write it back; an error leaves the file as it was."""
    notebook = nbformat.read(path, as_version=4)
    with kernel_config() as config:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            config=config,
        )
        client.execute()
    notebook.metadata = {key: notebook.metadata[key] for key in KEPT if key in notebook.metadata}
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
    with write_beside(path) as part:
        nbformat.write(notebook, part)


if __name__ == "__main__":
    for name in tqdm(sys.argv[1:], unit="notebook"):
        store_outputs(Path(name))
