"""What all commands share: the applications they belong to, and options that several of them have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="From a raw clip to valence-arousal, action units, expressions and generated faces.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
train_app = typer.Typer(help="Train one of the two learners on a store of faces.")
experiment_app = typer.Typer(help="Repeat the paper's experiments: every row, several seeds.")
notebooks_app = typer.Typer(help="Run the course.")
app.add_typer(train_app, name="train")
app.add_typer(experiment_app, name="experiment")
app.add_typer(notebooks_app, name="notebooks")

Force = Annotated[bool, typer.Option("--force", help="Replace what is already there.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Videos worked on at the same time.")]
Runs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Runs at the same time, one thread each.")]
Recipe = Annotated[str, typer.Option("--recipe", help="kit: good faces on two cores. paper: all as printed.")]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same result on the CPU.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="32-true, bf16-mixed or 16-mixed.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")]
Width = Annotated[
    float, typer.Option("--width", min=0.01, help="Channels as a share of the paper's; 1.0 is the paper.")
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
