"""The command line: commands that all rooms offer, and one line for every mistake.

A room lists its commands in the entry-point group ``affkit.commands`` (``pyproject.toml``): the name, with a
dot between a group and its command, and where it is. It is imported when it is asked for, so ``affkit
--help`` answers at once. A :class:`~affkit.errors.UserError` becomes one line on stderr and exit code 2.
"""

import os
import sys
import warnings
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

import typer
from typer.core import TyperGroup

from affkit.commands import room
from affkit.errors import UserError
from affkit.files import unusable_path


class Offered(Mapping):
    """Commands by name. The room of one is imported when the command is asked for."""

    def __init__(self, offers: Mapping[str, EntryPoint]):
        self.offers, self.names = offers, list(dict.fromkeys(name.split(".")[0] for name in offers))

    def __iter__(self):
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str):
        if name in self.offers:
            offer = self.offers[name]
            command = typer.main.get_group(offer.load()).commands[offer.name]
            command.name = name
            return command
        if name not in self.names:
            raise KeyError(name)
        inner = {n.partition(".")[2]: o for n, o in self.offers.items() if n.startswith(f"{name}.")}
        text, kind = GROUPS[name]
        return kind(name=name, help=text, commands=Offered(inner), rich_markup_mode=None)


class Rooms(TyperGroup):
    """The commands of all rooms that are installed."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.commands = Offered({offer.name: offer for offer in entry_points(group="affkit.commands")})


class WithDefault(TyperGroup):
    """A group of commands that reads what names none of them as the words of its hidden command."""

    @property
    def default(self) -> str:
        return next(name for name, command in self.commands.items() if command.hidden)

    def parse_args(self, ctx, args):
        """``evaluate PRED TRUTH`` is ``evaluate <default> PRED TRUTH``; ``evaluate gan`` stays what it is."""
        own = (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if args and args[0] in own else [self.default, *args])

    def format_help(self, ctx, formatter):
        command = self.commands[self.default]
        inner = typer.Context(command, info_name=ctx.info_name, parent=ctx.parent)
        command.format_usage(inner, formatter)
        command.format_help_text(inner, formatter)
        command.format_options(inner, formatter)
        self.format_commands(ctx, formatter)
        command.format_epilog(inner, formatter)


GROUPS = {  # what is said of a name that has a dot behind it
    "train": ("Train a network on a store of faces.", TyperGroup),
    "evaluate": ("Measure how good predictions or a trained learner are.", WithDefault),
    "experiment": ("Repeat the paper's experiments: every row, several seeds.", TyperGroup),
    "notebooks": ("Run the course, and check what students hand in.", TyperGroup),
}


ABOUT = "From a raw clip to valence-arousal, action units, expressions and generated faces."
app = room(cls=Rooms, help=ABOUT)


@app.callback()
def no_options():
    """The command line has commands and no options of its own."""


def _warn_in_one_line(message, category, filename, lineno, file=None, line=None):
    from tqdm import tqdm

    tqdm.write(f"affkit: warning: {message}", file=sys.stderr)  # above a progress bar, not into it


def main():
    """Run the command line; exit code 2 and one line for anything the user can fix."""
    warnings.showwarning = _warn_in_one_line
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")  # a name that a terminal cannot show is no mistake
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except UserError as error:
        code, message = 2, str(error)
    except typer.TyperException as error:  # a command or option we do not have
        code, message = 2, f"{error.format_message()} See affkit --help."
    except OSError as error:  # a path that the system refuses; all else is a fault of ours and is shown whole
        code, message = 2, unusable_path(error)
        if message is None:
            raise
    except (typer.Abort, KeyboardInterrupt):
        code, message = 130, "stopped; the same command goes on from here"
    for stream in streams:
        try:
            stream.write(f"affkit: {message}\n" if stream is sys.stderr else "")
            stream.flush()
        except OSError:  # what is left in it would be written, and fail again, at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


if __name__ == "__main__":  # also torchrun --nproc-per-node 2 -m affkit train mtl ...
    main()
