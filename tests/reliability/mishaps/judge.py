"""Give a bad input to a real command, and say what is wrong with the answer.

Wanted are exit code 2, exactly one line on stderr that begins with ``affkit:`` and names the file or option,
no traceback, and a folder that is afterwards as it was before, to the byte.
"""

import hashlib
import os
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from affkit.__main__ import main as affkit

SECONDS = 10  # a mistake is told within this time

# What makes an input bad: it is given the path of the sound file or folder and alters it.
Change = Callable[[Path], object]


@dataclass(frozen=True)
class BadInput:
    """One thing that is wrong, and the command that meets it."""

    kind: str  # what it is that is wrong: "label file", "option"
    fault: str
    line: str  # the command, without ``affkit``; paths are relative to the folder of sound files
    names: tuple[str, ...]  # one of these must be in the complaint: the name of the file or of the option
    target: str = ""  # the file that is changed, relative to the folder; empty if nothing is
    change: Change | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.kind}, {self.target + ' ' if self.target else ''}{self.fault}: affkit {self.line}"


@dataclass(frozen=True)
class Answer:
    code: int | None  # None if it was stopped
    stderr: str
    failure: str  # the last line of a traceback, or that it took too long


class TooLong(BaseException):
    """Not an Exception, so that nothing in the command takes it for one of its own."""


def judge(
    bad: BadInput, good: Path, main: Callable[[], None] = affkit, seconds: float = SECONDS
) -> list[str]:
    """Everything that is wrong with how ``main``, which reads ``sys.argv``, meets ``bad``; empty if nothing.

    ``good`` is the folder of :func:`~mishaps.good.make_good`; the command runs in a copy of it.
    """
    with tempfile.TemporaryDirectory(prefix="affkit-bad-") as parent:
        folder = Path(parent, "given")
        shutil.copytree(good, folder, symlinks=True)
        if bad.change is not None:
            bad.change(folder / bad.target)
        before = contents(folder)
        faults = _faults(bad, run_in(folder, bad.line, main, seconds))
        if other := changed(before, contents(folder)):
            faults.append(f"written or altered: {', '.join(other[:5])}")
        return faults


def _faults(bad: BadInput, answer: Answer) -> list[str]:
    if answer.failure:
        return [answer.failure]
    said = [line for line in answer.stderr.splitlines() if line.strip()]
    faults = [] if answer.code == 2 else [f"exit code {answer.code}"]
    if len(said) != 1:
        faults.append(f"{len(said)} lines on stderr: {' | '.join(said)[:300]}")
    if said and not said[-1].startswith("affkit: "):
        faults.append(f"a line that does not begin with affkit: {said[-1][:200]}")
    if not any(name in answer.stderr for name in bad.names):
        faults.append(f"{' or '.join(bad.names)} is not named: {answer.stderr.strip()[:300]}")
    return faults


def run_in(folder: Path, line: str, main: Callable[[], None] = affkit, seconds: float = 60) -> Answer:
    """Run ``main`` in this process and in ``folder``: importing torch anew for each would take hours."""
    code, failure = None, ""
    argv = patch.object(sys, "argv", ["affkit", *line.split()])
    warning = patch.object(warnings, "showwarning", warnings.showwarning)
    with tempfile.TemporaryFile("w+", errors="replace") as printed:
        with chdir(folder), argv, warning, _printing_to(printed), limit(seconds):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code or 0
            except TooLong:
                failure = f"took more than {seconds:g} s"
            except BaseException as error:  # the judge reports whatever gets out of a command
                place = traceback.extract_tb(error.__traceback__)[-1]
                what = str(error).splitlines()[0][:150] if str(error) else ""
                failure = (
                    f"traceback: {type(error).__name__}: {what} ({Path(place.filename).name}:{place.lineno})"
                )
        printed.seek(0)
        return Answer(code, printed.read(), failure)


@contextmanager
def _printing_to(file) -> Iterator[None]:
    """What Python and what C libraries print to stderr goes to ``file``; stdout goes nowhere."""
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with open(os.devnull, "w") as nowhere, os.fdopen(os.dup(file.fileno()), "w", buffering=1) as words:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            with redirect_stdout(nowhere), redirect_stderr(words):
                yield
        finally:
            for number, own in enumerate(kept, 1):
                os.dup2(own, number)
                os.close(own)


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TooLong` in what goes on for longer."""

    def stop(*_):
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def contents(folder: Path) -> dict[str, str]:
    """Every path below ``folder``, hidden ones too, and what is there: a digest, a link, a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Paths that are new, gone or different."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
