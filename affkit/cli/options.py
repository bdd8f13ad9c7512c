"""What all commands share: the applications they belong to, and options that several of them have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from affkit.errors import UserError
from affkit.files import check_output


class WithDefault(TyperGroup):
    """A group of commands that reads what names none of them as the words of its hidden command."""

    @property
    def default(self) -> str:
        """The name of the hidden command."""
        return next(name for name, command in self.commands.items() if command.hidden)

    def parse_args(self, ctx, args):
        """``evaluate PRED TRUTH`` is ``evaluate <default> PRED TRUTH``; ``evaluate gan`` stays what it is."""
        own = (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if args and args[0] in own else [self.default, *args])

    def format_help(self, ctx, formatter):
        """The help of the hidden command as that of the group, and then the other commands."""
        command = self.commands[self.default]
        inner = typer.Context(command, info_name=ctx.info_name, parent=ctx.parent)
        command.format_usage(inner, formatter)
        command.format_help_text(inner, formatter)
        command.format_options(inner, formatter)
        self.format_commands(ctx, formatter)
        command.format_epilog(inner, formatter)


app = typer.Typer(
    help="From a raw clip to valence-arousal, action units, expressions and generated faces.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
train_app = typer.Typer(help="Train a network on a store of faces.")
evaluate_app = typer.Typer(help="Measure how good predictions or a trained learner are.", cls=WithDefault)
experiment_app = typer.Typer(help="Repeat the paper's experiments: every row, several seeds.")
notebooks_app = typer.Typer(help="Run the course, and check what students hand in.")
app.add_typer(train_app, name="train")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(experiment_app, name="experiment")
app.add_typer(notebooks_app, name="notebooks")


def out_file(path: Path | None) -> Path | None:
    """A file to write, or a folder: refused before the work where nothing can be written."""
    return None if path is None else check_output(path)


def out_folder(path: Path | None) -> Path | None:
    """A folder to write into, which need not be there."""
    return None if path is None else check_output(path, folder=True)


Force = Annotated[bool, typer.Option("--force", help="Replace what is already there.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Videos worked on at the same time.")]
Runs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Runs at the same time, one thread each.")]
Recipe = Annotated[
    str, typer.Option("--recipe", help="kit: good faces on two cores. paper, paper-d-more: all as printed.")
]
MOST_SEED = 2**32 - 1
Seed = Annotated[int, typer.Option("--seed", min=0, max=MOST_SEED, help="Same seed, same result on the CPU.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="32-true, bf16-mixed or 16-mixed.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")]
SaveEvery = Annotated[int, typer.Option("--save-every", min=1, help="Steps from one checkpoint to the next.")]
Width = Annotated[
    float,
    typer.Option("--width", min=0.01, max=16, help="Channels as a share of the paper's; 1.0 is the paper."),
]
Part = Annotated[
    str,
    typer.Option("--part", help="FILE:SET, only the faces in a set of a partition: partition.json:train."),
]
AllFrames = Annotated[
    bool,
    typer.Option(
        "--all-frames/--listed-frames",
        help="Use every frame of the people in a set: without an agreed expression it still teaches V-A.",
    ),
]
Weights = Annotated[Path | None, typer.Option(help="Checkpoint to take the CNN from: cnn.safetensors.")]
VggWeights = Annotated[
    Path | None, typer.Option(help="Published VGG-Face weights (.pth, .npz, .safetensors) to start from.")
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder for the features of a frozen CNN; that of --data by default.")
]
Labels = Annotated[
    Path | None, typer.Option("--labels", help="Annotations in an Aff-Wild or Aff-Wild2 layout.")
]


class Keep(StrEnum):
    """Whose labels annotators agree on."""

    ALL = "all"
    MAJORITY = "majority"


class Disagreed(StrEnum):
    """What an action unit is where annotators differ."""

    UNKNOWN = "unknown"
    ABSENT = "absent"


class Task(StrEnum):
    """What is annotated."""

    AU = "au"
    EXPRESSION = "expression"


class Config(StrEnum):
    """The paper's GAN configurations."""

    ONE = "1"
    TWO = "2"
    TWO_7X7 = "2-7x7"


def part_rows(store, part: str, all_frames: bool = False):
    """The rows of a store in ``FILE:SET``, a set of a partition; None, which stands for all, for no text.

    With ``all_frames`` also frames that the partition does not list, of the people that it has.
    """
    from affkit.data.partition import read_partition

    if not part:
        return None
    file, colon, name = part.rpartition(":")
    if not colon or not file:
        raise UserError(
            f"--part {part}", "names no file or no set", "write FILE:SET, such as partition.json:train"
        )
    partition = read_partition(file)
    sets = (partition.whole() if all_frames else partition).rows(store.index)
    if name not in sets:
        raise UserError(file, f"has no set {name!r}", f"choose {' or '.join(sets)}")
    return sets[name]
