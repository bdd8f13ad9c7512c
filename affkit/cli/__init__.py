"""The command line: thin commands over the library, one line for every mistake.

A :class:`~affkit.errors.UserError` becomes one line on stderr and exit code 2. Modules are imported inside
the commands, so that ``affkit --help`` answers at once.
"""

import sys
import warnings

import typer

from affkit.cli import corpus, evaluating, experiments, learning, notebooks  # noqa: F401  (commands join the app)
from affkit.cli.options import app
from affkit.errors import UserError
from affkit.files import unusable_path


def _warn_in_one_line(message, category, filename, lineno, file=None, line=None):
    """Warnings as one line without a source path: they are meant for the person at the keyboard."""
    from tqdm import tqdm

    tqdm.write(f"affkit: warning: {message}", file=sys.stderr)  # above a progress bar, not into it


def main():
    """Run the command line; exit code 2 and one line for anything the user can mend."""
    warnings.showwarning = _warn_in_one_line
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except UserError as error:
        code = _complain(str(error))
    except typer.TyperException as error:  # a command or option we do not have
        code = _complain(f"{error.format_message()} See affkit --help.")
    except OSError as error:  # a path that the system refuses; all else is a fault of ours and is shown whole
        told = unusable_path(error)
        if told is None:
            raise
        code = _complain(str(told))
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("affkit: stopped; the same command goes on from here", err=True)
        code = 130
    sys.exit(code)


def _complain(message: str) -> int:
    typer.echo(f"affkit: {message}", err=True)
    return 2
