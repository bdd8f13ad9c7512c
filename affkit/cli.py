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
    detector: Annotated[str, typer.Option(help="haar, mtcnn, ffld2 or yunet:FILE.")] = "haar",
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
    scale: Annotated[
        str, typer.Option(help="The annotated corpus: kit, paper, or a share of the paper's such as 0.1.")
    ] = "",
    pool: Annotated[int, typer.Option(min=0, help="Instead of clips: unlabelled faces, one a person.")] = 0,
    subjects: Annotated[int, typer.Option(min=1, help="How many people, one clip each.")] = 4,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a clip.")] = 5.0,
    fps: Annotated[float, typer.Option(min=1, max=120, help="Frames a second.")] = 30.0,
    width: Annotated[int, typer.Option(min=2, help="Of the picture, in pixels.")] = 320,
    height: Annotated[int, typer.Option(min=2, help="Of the picture, in pixels.")] = 240,
    seed: Annotated[int | None, typer.Option("--seed", help="Same seed, same result on the CPU.")] = None,
    force: Force = False,
    jobs: Jobs = 1,
):
    """Draw clips of faces whose labels are known exactly (needs affkit[synth]).

    With --scale: the two parts of Section II, 70 clips with three coders and eight raters. Time and disk are
    said first, and a run that was stopped goes on with the same command.
    """
    if scale:
        from affkit.synth.edition import KIT_SEED, estimate, make_corpus, plan_corpus, read_scale

        share, seed = read_scale(scale), KIT_SEED if seed is None else seed
        typer.echo(estimate(plan_corpus(share, seed)).text(jobs))
        videos = make_corpus(out, share, seed, jobs=jobs, force=force)
        typer.echo(f"{len(videos)} clips with labels, coders, raters and the truth in {out}")
    elif pool:
        from affkit.synth.pool import draw_pool

        sheets = draw_pool(out, pool, seed=seed or 0, jobs=jobs)
        typer.echo(f"{pool} faces on {len(sheets)} sheets in {out}")
    else:
        from affkit.synth.corpus import render_corpus

        size = (width, height)
        render_corpus(out, subjects, seconds, seed=seed or 0, size=size, fps=fps, force=force, jobs=jobs)
        typer.echo(f"{subjects} clips with their labels in {out}")


@app.command(epilog="Example: affkit stats --data data_samples/corpus -o figures")
def stats(
    data: Annotated[Path, typer.Option("--data", help="A corpus, or annotations of Aff-Wild or Aff-Wild2.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for figures and tables.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    units: Annotated[
        Path | None, typer.Option(help="Picture of the action units for Figure 1: action_units.jpg.")
    ] = None,
    force: Force = False,
):
    """What a corpus holds, beside the paper's numbers (Section II)."""
    import json

    from affkit.data.corpus import Corpus
    from affkit.data.summary import Statistics

    corpus = Corpus.open(data, progress=True)
    statistics = Statistics.of(corpus, progress=True)
    if out is not None:
        from affkit.show.corpus_figures import write_figures

        write_figures(corpus, statistics, out, units, force)
    typer.echo(json.dumps(statistics.as_dict(), indent=2) if as_json else statistics.text())


@app.command(epilog="Example: affkit agree coders/A1 coders/A2 coders/A3 -o agreed --disagreed absent")
def agree(
    folders: Annotated[list[Path], typer.Argument(help="Annotations, a folder for each annotator.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the agreed annotations.")],
    disagreed: Annotated[
        Disagreed, typer.Option(help="What action units are where they differ.")
    ] = "unknown",
    keep: Annotated[Keep, typer.Option(help="What all say, or what most say.")] = "all",
    align: Annotated[float, typer.Option(min=0, help="Largest lag of raters to look for, in seconds.")] = 0,
    fps: Annotated[float, typer.Option(min=1, max=120, help="Frames a second, for --align.")] = 30.0,
    common: Annotated[bool, typer.Option("--common", help="Only the videos that all have.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    force: Force = False,
):
    """Keep the labels on which annotators agree, average ratings, and measure agreement (Section III.C-D)."""
    from affkit.data import agreement, reliability
    from affkit.data.alignment import align_ratings

    annotators = agreement.read_annotators(folders, common, progress=True)
    annotators, lags = align_ratings(annotators, round(align * fps), progress=True)
    table = reliability.agreement_table(annotators, keep, disagreed, lags if align else {}, progress=True)
    agreement.write_agreement(out, agreement.agree(annotators, keep, disagreed), table, force)
    typer.echo(table.to_json(orient="records") if as_json else reliability.as_text(table))


@app.command(epilog="Example: affkit split --data corpus --sizes 38,8,18 -o partition.json")
def split(
    data: Annotated[Path | None, typer.Option(help="Corpus: annotations and subjects.csv.")] = None,
    sizes: Annotated[str, typer.Option(help="Videos to train, validate and test, or three shares.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The partition, a JSON file.")] = None,
    task: Annotated[str | None, typer.Option(help="au, expr or va; the first there are labels of.")] = None,
    inactive: Annotated[int | None, typer.Option(help="Frames without an active unit to keep.")] = None,
    check: Annotated[Path | None, typer.Option(help="Look for leaks in this file or folder instead.")] = None,
    across_tasks: Annotated[
        bool, typer.Option("--across-tasks", help="With --check: fail if sets of tasks mix.")
    ] = False,
    seed: Seed = 0,
    force: Force = False,
):
    """Divide a corpus by subject (Section II.D), or check a partition: exit code 1 if a subject is split."""
    if check is not None:
        from affkit.data import leakage

        report = leakage.check(check, data)
        culprits = report.culprits(across_tasks)
        typer.echo("\n".join(culprits or [report.summary()]))
        if report.across and not across_tasks:
            typer.echo(report.note())
        raise typer.Exit(1 if culprits else 0)
    if data is None or out is None or not sizes:
        raise UserError("affkit split", "needs --data, --sizes and --out", "or --check with a file or folder")
    from affkit.data import splitting
    from affkit.data.corpus import Corpus
    from affkit.data.partition import write_partition
    from affkit.files import refuse_existing

    refuse_existing(out, force)
    corpus, numbers = Corpus.open(data, progress=True), splitting.parse_sizes(sizes)
    partition = splitting.split_corpus(corpus, numbers, task, inactive, seed, progress=True)
    write_partition(out, partition, force)
    typer.echo(splitting.as_text(splitting.partition_table(partition, corpus)))


@app.command(epilog="Example: affkit annotate clip.mp4 --annotator Ada --project faces.affkit")
def annotate(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    project: Annotated[
        Path, typer.Option(help="File that keeps the annotation; made when it is not there.")
    ] = Path("annotation.affkit"),
    annotator: Annotated[str, typer.Option(help="Who annotates.")] = "me",
    task: Annotated[Task, typer.Option(help="8 action units, or 7 exclusive expressions.")] = Task.AU,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")] = 0,
):
    """Annotate a clip frame by frame in the browser (Section III.B); every change is saved at once."""
    from affkit.show.standalone import serve

    serve(video, project, annotator, task.value, port, browser)


@train_app.command(
    "gan", epilog="Example: affkit train gan --data store --out run/gan --recipe kit --steps 2000"
)
def train_gan(
    data: Annotated[Path, typer.Option("--data", help="Store of faces.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    config: Annotated[
        Config, typer.Option(help="Tables V-VI (1), VII-VIII (2), or the latter with 7x7.")
    ] = Config.ONE,
    recipe: Annotated[str, typer.Option(help="kit: good faces on two cores. paper: all as printed.")] = "kit",
    targets: Annotated[str, typer.Option(help="va+au, va or au.")] = "va+au",
    va_loss: Annotated[str, typer.Option(help="ccc or mse.")] = "ccc",
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 1000,
    width: Width = 1.0,
    seed: Seed = 0,
    resume: Resume = False,
    device: Device = "auto",
    precision: Precision = "32-true",
):
    """Train generator and discriminator (Section IV.A)."""
    from affkit.data.store import Store
    from affkit.learn import train

    changes = {"width": width, "targets": targets, "va_loss": va_loss, "seed": seed}
    settings = train.GanConfig.recipe(recipe, configuration=config.value, **changes)
    run = train.train_gan(Store.open(data), out, settings, steps, resume, device, precision)
    typer.echo(f"{run.generator} after {len(run.log)} steps")


@train_app.command("mtl", epilog="Example: affkit train mtl --data store --out run/mtl --steps 100")
def train_mtl(
    data: Annotated[Path, typer.Option("--data", help="Store of faces with labels.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 100,
    alpha: Annotated[float, typer.Option(help="Weight of valence and arousal in Eq. 6.")] = 0.5,
    beta: Annotated[float, typer.Option(help="Weight of the expressions in Eq. 6.")] = 0.5,
    va_loss: Annotated[str, typer.Option(help="ccc or mse.")] = "ccc",
    expr_loss: Annotated[
        str, typer.Option(help="cross_entropy, mse_before_softmax or mse_after_softmax.")
    ] = "cross_entropy",
    frozen: Annotated[bool, typer.Option("--frozen", help="Leave the CNN as it is; give --weights.")] = False,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint to take the CNN from.")] = None,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    width: Width = 0.125,
    seed: Seed = 0,
    resume: Resume = False,
    device: Device = "auto",
    precision: Precision = "32-true",
):
    """Train VGGFACE-GRU-attention on valence, arousal and expressions (Section IV.B)."""
    from affkit.data.store import Store
    from affkit.learn import train

    losses = {"alpha": alpha, "beta": beta, "va_loss": va_loss, "expression_loss": expr_loss}
    config = train.MtlConfig(width=width, lr=lr, frozen=frozen, seed=seed, **losses)
    how = {"resume": resume, "device": device, "precision": precision, "weights": weights}
    run = train.train_mtl(Store.open(data), out, config, steps=steps, **how)
    typer.echo(f"{run.checkpoint} after {len(run.log)} steps")


@app.command(epilog="Example: affkit generate --checkpoint run/gan/generator.safetensors --n 64 -o grid.png")
def generate(
    checkpoint: Annotated[Path, typer.Option(help="generator.safetensors of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture, a PNG file.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many faces.")] = 64,
    seed: Seed = 0,
    force: Force = False,
):
    """Draw faces from noise with a trained generator."""
    from affkit.files import refuse_existing
    from affkit.learn.generate import generate as draw
    from affkit.learn.generate import image_grid, write_picture

    refuse_existing(out, force)
    write_picture(out, image_grid(draw(checkpoint, n, seed)))
    typer.echo(f"{n} faces in {out}")


@app.command(
    epilog="Example: affkit predict clip.mp4 -o table.csv --checkpoint run/mtl/affwildnet.safetensors"
)
def predict(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table, a CSV file.")],
    checkpoint: Annotated[Path, typer.Option(help="affwildnet.safetensors or discriminator.safetensors.")],
    detector: Annotated[str, typer.Option(help="haar, mtcnn, ffld2 or yunet:FILE.")] = "haar",
    device: Device = "auto",
    force: Force = False,
):
    """What a trained network says about each face in each frame of a video."""
    from affkit.files import refuse_existing
    from affkit.learn.clips import predict_video, write_predictions

    refuse_existing(out, force)
    predictions = predict_video(video, checkpoint, detector=detector, device=device)
    write_predictions(out, predictions, force)
    typer.echo(f"{len(predictions)} faces in {out}")


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
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("affkit: stopped; the same command goes on from here", err=True)
        code = 130
    sys.exit(code)


def _complain(message: str) -> int:
    typer.echo(f"affkit: {message}", err=True)
    return 2
