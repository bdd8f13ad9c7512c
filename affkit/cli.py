"""The command line: thin commands over the library, one line for every mistake.

A :class:`~affkit.errors.UserError` becomes one line on stderr and exit code 2. Modules are imported inside
the commands, so that ``affkit --help`` answers at once.
"""

import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from affkit.errors import UserError

app = typer.Typer(
    help="From a raw clip to valence-arousal, action units, expressions and generated faces.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
train_app = typer.Typer(help="Train one of the two learners on a store of faces.")
notebooks_app = typer.Typer(help="Run the course.")
app.add_typer(train_app, name="train")
app.add_typer(notebooks_app, name="notebooks")

Force = Annotated[bool, typer.Option("--force", help="Replace what is already there.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Videos worked on at the same time.")]
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


class Config(StrEnum):
    """The paper's GAN configurations."""

    ONE = "1"
    TWO = "2"
    TWO_7X7 = "2-7x7"


@app.command(epilog="Example: affkit convert clips/ holiday.mov -o converted --labels annotations")
def convert(
    inputs: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the MP4 files.")],
    labels: Labels = None,
    force: Force = False,
    jobs: Jobs = 1,
):
    """Any clip to MP4, H.264, constant 30 fps (Section III.A); labels are re-timed with their frames."""
    from affkit.data.convert import convert_videos

    written = convert_videos(inputs, out, labels=labels, force=force, jobs=jobs)
    typer.echo(f"{len(written)} videos in {out}")


@app.command(epilog="Example: affkit faces converted/*.mp4 -o store --size 96 --labels annotations")
def faces(
    videos: Annotated[list[Path], typer.Argument(help="Video files.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new store.")],
    size: Annotated[int, typer.Option(help="Side of a crop in pixels: 96 or 32 in the paper.")] = 96,
    detector: Annotated[str, typer.Option(help="haar, or yunet:FILE with OpenCV's YuNet model.")] = "haar",
    labels: Labels = None,
    force: Force = False,
    jobs: Jobs = 1,
):
    """Detect, follow, crop and store the faces of some videos (Section III.E)."""
    from affkit.data.extract import extract_faces

    store = extract_faces(videos, out, size=size, detector=detector, labels=labels, force=force, jobs=jobs)
    typer.echo(f"{len(store)} faces of {size} x {size} pixels in {out}")


@app.command(epilog="Example: affkit render --subjects 4 --seconds 5 --seed 1 -o drawn")
def render(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new corpus.")],
    subjects: Annotated[int, typer.Option(min=1, help="How many people, one clip each.")] = 4,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a clip.")] = 5.0,
    seed: Seed = 0,
    force: Force = False,
    jobs: Jobs = 1,
):
    """Draw clips of faces whose labels are known exactly (needs affkit[synth])."""
    from affkit.synth.corpus import render_corpus

    render_corpus(out, subjects=subjects, seconds=seconds, seed=seed, force=force, jobs=jobs)
    typer.echo(f"{subjects} clips with their labels in {out}")


@notebooks_app.command("run", epilog="Example: affkit notebooks run notebooks -o runs/course --only 00,04")
def notebooks_run(
    folder: Annotated[Path, typer.Argument(help="Folder of the notebooks.")] = Path("notebooks"),
    out: Annotated[Path, typer.Option("--out", "-o", help="Pages and index.html go here.")] = Path(
        "runs/course"
    ),
    only: Annotated[str, typer.Option(help="Only some, by the start of their names: 00,04.")] = "",
    profile: Annotated[str, typer.Option(help="small (a laptop) or full (a GPU).")] = "small",
):
    """Execute the notebooks in order; exit code 1 when one of them failed."""
    from affkit.course import main as run

    raise typer.Exit(run(folder, out, only=[start for start in only.split(",") if start], profile=profile))


def _warn_in_one_line(message, category, filename, lineno, file=None, line=None):
    """Warnings as one line without a source path: they are meant for the person at the keyboard."""
    typer.echo(f"affkit: warning: {message}", err=True)


def main():
    """Run the command line; exit code 2 and one line for anything the user can mend."""
    warnings.showwarning = _warn_in_one_line
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except UserError as error:
        code = _complain(str(error))
    except typer.TyperException as error:  # a command or option we do not have
        code = _complain(f"{error.format_message()} See affkit --help.")
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("affkit: stopped; the same command goes on from here", err=True)
        code = 130
    sys.exit(code)


def _complain(message: str) -> int:
    typer.echo(f"affkit: {message}", err=True)
    return 2
