"""The annotation tool and the latent browser as pages of their own, with no notebook around them.

Voila runs a notebook of one cell and shows what comes out. It answers this machine only, asks for a token
that is made anew each time, and its page fetches nothing from elsewhere (``voila/templates/affkit``).
"""

import os
import secrets
import socket
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from affkit.errors import UserError
from affkit_studio.annotate.annotator import AnnotationDesk

TEMPLATES = Path(__file__).parent / "voila"
# What the page needs: anything else that is installed for JupyterLab stays out.
EXTENSIONS = ["@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget"]


def serve(
    video: str | Path, project: str | Path, annotator: str, task: str, port: int = 0, browser: bool = True
) -> None:
    """Show :func:`~affkit_studio.annotate.annotator.annotator` as a page on 127.0.0.1 until Ctrl+C.

    Port 0 takes a free one. Raises UserError if the clip or the project cannot be opened, or the port is
    taken.
    """
    # Mistakes are told here, in one line, not in the kernel of a page.
    AnnotationDesk.open(video, Path(project), annotator, task).close()
    video, project = str(Path(video).absolute()), str(Path(project).absolute())
    arguments = {"video": video, "project": project, "annotator_name": annotator, "task": task}
    cell = f"from affkit_studio.annotate.annotator import annotator\n\nannotator(**{arguments!r})"
    _serve(cell, "Annotation tool", "every change is saved at once; Ctrl+C ends the tool", port, browser)


def serve_latent(
    checkpoint: str | Path,
    predictors: Sequence[str | Path] = (),
    directions: str | Path | None = None,
    port: int = 0,
    browser: bool = True,
    **files: str | Path | None,
) -> None:
    """Show :func:`~affkit_studio.browse.latent_browser.latent_browser` as a page, as :func:`serve` does.

    Directions that are in no file yet are learned first, with a bar, and kept until the end of the page.
    """
    from affkit_studio.browse.latent_browser import open_desk

    _free_port(port)
    with tempfile.TemporaryDirectory(prefix="affkit-") as folder:
        if directions is None and not Path(checkpoint).with_name("directions.safetensors").exists():
            directions = Path(folder) / "directions.safetensors"
        open_desk(checkpoint, predictors, directions, progress=True, **files)
        arguments = {"checkpoint": checkpoint, "directions": directions, **files}
        arguments = {name: str(Path(path).absolute()) for name, path in arguments.items() if path is not None}
        arguments["predictors"] = [str(Path(path).absolute()) for path in predictors]
        cell = (
            f"from affkit_studio.browse.latent_browser import latent_browser as show\n\nshow(**{arguments!r})"
        )
        _serve(cell, "Latent browser", "Ctrl+C ends it", port, browser)


def _serve(cell: str, title: str, words: str, port: int, browser: bool) -> None:
    """Show what one cell gives, until Ctrl+C; ``words`` are printed below the address."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=[new_code_cell(cell)], metadata={"kernelspec": kernel, "title": title})
    with tempfile.TemporaryDirectory(prefix="affkit-") as folder:
        path = Path(folder) / f"{title.lower()}.ipynb"
        nbformat.write(notebook, path)
        _run_voila(path, _free_port(port), browser, words)


def _run_voila(notebook: Path, port: int, browser: bool, words: str) -> None:
    from tornado.ioloop import IOLoop
    from traitlets.config import Config
    from voila.app import Voila
    from voila.request_info_handler import RequestInfoSocketHandler

    class OnePage(Voila):
        """Its first page finds a kernel that is at work already; none waits for a second one."""

        def init_settings(self) -> dict:
            settings = super().init_settings()  # starts the kernel, which opens the files
            self.kernel_manager.kernel_pools_config = {"default": {"pool_size": 0}}
            # A page of elsewhere can give its own name the address of this machine (DNS rebinding), and then
            # ask here under that name: only the names that this machine has for itself are answered.
            return settings | {"allow_remote_access": False}

        def init_handlers(self) -> list:
            # A kernel that starts early could ask for the address of the page there, token and all; ours does
            # not, and nothing may answer without the token.
            return [one for one in super().init_handlers() if one[1] is not RequestInfoSocketHandler]

    paths = [str(TEMPLATES.parent), os.environ.get("JUPYTER_PATH")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))  # where Voila looks for templates
    token = secrets.token_urlsafe(16)
    config = Config()
    config.Voila = Config(ip="127.0.0.1", port=port, port_retries=0, token=token, open_browser=browser)
    config.Voila.log_level = "ERROR"
    # The kernel starts with the server, not when the browser asks: that is a third of the wait.
    config.VoilaConfiguration = Config(template="affkit", extension_allowlist=EXTENSIONS, preheat_kernel=True)
    app = OnePage(config=config)
    app.initialize([str(notebook)])
    address = f"{notebook.stem}: http://127.0.0.1:{port}/?token={token}"
    # Said by the loop of the server, which turns only when the page can be asked for.
    IOLoop.current().add_callback(partial(print, address, words, sep="\n", flush=True))
    app.start()


def _free_port(port: int) -> int:
    """``port`` if nobody has it, or any free one for 0."""
    with socket.socket() as probe:
        # A port that was given back a moment ago is free, as it is for the server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            problem = "cannot be used, another program may have it"
            raise UserError(f"port {port}", problem, "leave out --port to take a free one") from error
        return probe.getsockname()[1]
