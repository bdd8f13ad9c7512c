"""A real JupyterLab in a real Chromium: start both, run a notebook, read the pixels of a picture."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

from playwright.sync_api import Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_OPTIONS = [
    "--no-sandbox",  # a container has no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The same options as `make lab` (a test compares them).
LAB_OPTIONS = [
    "--ip=127.0.0.1",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
]
# The menu's "Run All Cells", once the kernel answers: it ends with the last cell.
RUN_ALL = """async () => {
    const app = window.jupyterapp, panel = app.shell.currentWidget;
    await panel.sessionContext.session.kernel.info;
    await app.commands.execute('notebook:run-all-cells');
    const cells = panel.content.model.toJSON().cells.filter(cell => cell.cell_type === 'code');
    const errors = cells.flatMap(cell => cell.outputs).filter(output => output.output_type === 'error');
    const skipped = cells.filter(cell => cell.source.length && cell.execution_count === null);
    return [...errors.map(error => error.ename + ': ' + error.evalue),
            ...skipped.map(cell => 'not executed: ' + cell.source)];
}"""
# The address of an Image widget's picture changes at every update: what is drawn is read through a canvas.
PIXELS = """async selector => {
    const image = document.querySelector(selector);
    try { await image.decode(); } catch (error) { return null; }
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome, or None."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


@contextmanager
def jupyterlab(root: Path, settings: Path) -> Iterator[str]:
    """JupyterLab over the folder ``root`` on a free port of this machine; yields its address.

    Nothing of the user's own Jupyter is read or written: configuration, settings and workspaces are under
    ``settings``.
    """
    names = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "run"}
    names = {f"JUPYTER_{key}": settings / folder for key, folder in names.items()}
    names |= {f"JUPYTERLAB_{key}_DIR": settings / key.lower() for key in ("SETTINGS", "WORKSPACES")}
    quiet = settings / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--LabApp.expose_app_in_browser=True",
    ]
    own += ["--IdentityProvider.token=", f"--ServerApp.root_dir={root}"]
    command = [sys.executable, "-m", "jupyterlab", *own, *LAB_OPTIONS]
    environment = os.environ | {name: str(folder) for name, folder in names.items()}
    with open(settings / "log.txt", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_answers(f"http://127.0.0.1:{port}/api", server, settings / "log.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_it_answers(address: str, server: subprocess.Popen, log: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}") from error
        time.sleep(0.2)


@dataclass
class Watched:
    """A page and what should stay empty while it is used."""

    page: Page
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def request(self, address: str) -> None:
        parts = urlparse(address)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.outside.append(address)

    def console(self, message) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")


@contextmanager
def browse(chromium: str, profile: Path) -> Iterator[Watched]:
    """An empty page of a fresh browser that watches errors and requests to other machines.

    How the page looked at the end is in ``last.png`` beside ``profile``.
    """
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            headless=True,
            args=CHROMIUM_OPTIONS,
            viewport={"width": 1280, "height": 1400},
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        watched = Watched(page)
        page.on("console", watched.console)
        page.on("pageerror", lambda error: watched.errors.append(str(error)))
        page.on("request", lambda request: watched.request(request.url))
        page.on("websocket", lambda websocket: watched.request(websocket.url))
        try:
            yield watched
        finally:
            page.screenshot(path=profile.parent / "last.png")
            context.close()


def run_all(page: Page, address: str, notebook: str) -> list[str]:
    """Open ``notebook`` (a path under the root of the server), run all its cells; returns their errors."""
    page.goto(f"{address}/lab/tree/{notebook}?reset")
    kernel = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel"
    page.wait_for_function(f"{kernel}?.connectionStatus === 'connected'")
    return page.evaluate(RUN_ALL)


def pixels(page: Page, selector: str) -> bytes:
    """RGBA bytes of the picture that is drawn at ``selector``."""
    for _ in range(100):
        values = page.evaluate(PIXELS, selector)
        if values:
            return bytes(values)
        page.wait_for_timeout(20)
    raise AssertionError(f"{selector}: no picture to read")


def pixels_after(page: Page, selector: str, before: bytes, seconds: float = 20) -> bytes:
    """The pixels at ``selector`` as soon as they are not ``before``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = pixels(page, selector)
        if now != before:
            return now
        page.wait_for_timeout(50)
    raise AssertionError(f"{selector}: the picture did not change in {seconds} s")


# Tests that run in the background of a shell are deaf to Ctrl+C, and so would be what they start.
WITH_CTRL_C = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from affkit.cli import main; main()"
)


def stop(server: subprocess.Popen, how: signal.Signals) -> None:
    """End a server by a signal; one that does not obey is killed, and the test fails."""
    server.send_signal(how)
    try:
        server.wait(20)
    finally:
        server.kill()


@contextmanager
def standalone(folder: Path, *words: str) -> Iterator[str]:
    """A command of affkit that serves a page, started in ``folder``; yields the address that it says."""
    command = [sys.executable, "-c", WITH_CTRL_C, *words]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert select.select([server.stdout], [], [], 120)[0], "no address in two minutes"
        yield re.search(r"http://127\.0\.0\.1:\d+/\S*", server.stdout.readline()).group()
    finally:
        stop(server, signal.SIGINT)
