"""Commands of the library, from a raw clip to faces, labels, trained networks and scores; and the options
that commands of all rooms share.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from affkit.errors import UserError
from affkit.files import alone, check_output


def room(**settings) -> typer.Typer:
    settings |= {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}
    return typer.Typer(**settings)


def option(kind, text: str, *names: str, **settings):
    return Annotated[kind, typer.Option(*names, help=text, **settings)]


def argument(kind, text: str, **settings):
    return Annotated[kind, typer.Argument(help=text, **settings)]


def out_file(context: typer.Context, path: Path | None) -> Path | None:
    """A file to write, or a folder: refused before the work where nothing can be written, or another command
    is writing.
    """
    return None if path is None else _own(context, check_output(path))


def out_folder(context: typer.Context, path: Path | None) -> Path | None:
    return None if path is None else _own(context, check_output(path, folder=True))


def _own(context: typer.Context, path: Path) -> Path:
    """``path``, until the command ends; the processes of one ``torchrun`` share it."""
    return context.with_resource(alone(path)) if os.environ.get("RANK", "0") == "0" else path


Force = option(bool, "Replace what is already there.", "--force")
Jobs = option(int, "Videos worked on at the same time.", "--jobs", "-j", min=1)
Runs = option(int, "Runs at the same time, one thread each.", "--jobs", "-j", min=1)
Recipe = option(str, "kit: good faces on two cores. paper, paper-d-more: all as printed.", "--recipe")
MOST_SEED = 2**32 - 1
Seed = option(int, "Same seed, same result on the CPU.", "--seed", min=0, max=MOST_SEED)
Device = option(str, "auto, cpu, cuda or mps.", "--device")
Precision = option(str, "32-true, bf16-mixed or 16-mixed.", "--precision")
Resume = option(bool, "Go on from the last checkpoint in --out.", "--resume")
SaveEvery = option(int, "Steps from one checkpoint to the next.", "--save-every", min=1)
Width = option(float, "Channels as a fraction of the paper's; 1.0 is the paper.", "--width", min=0.01, max=16)
Part = option(str, "FILE:SET, only the faces in a set of a partition: partition.json:train.", "--part")
EVERY_FRAME = "Use every frame of the people in a set: without an agreed expression it still teaches V-A."
AllFrames = option(bool, EVERY_FRAME, "--all-frames/--listed-frames")
Weights = option(Path | None, "Checkpoint to take the CNN from: cnn.safetensors.")
VggWeights = option(Path | None, "Published VGG-Face weights (.pth, .npz, .safetensors) to start from.")
Cache = option(Path | None, "Folder for the features of a frozen CNN; that of --data by default.")
Labels = option(Path | None, "Annotations in an Aff-Wild or Aff-Wild2 layout.", "--labels")
Config = Literal["1", "2", "2-7x7"]  # the paper's GAN configurations


def part_rows(store, part: str, all_frames: bool = False):
    """The rows of a store in ``FILE:SET``, a set of a partition, or None for all; with ``all_frames`` also
    frames of its people that it does not list.
    """
    from affkit.corpus.partition import read_partition

    if not part:
        return None
    file, _, name = part.rpartition(":")
    if not file:
        fix = "write FILE:SET, such as partition.json:train"
        raise UserError(f"--part {part}", "names no file or no set", fix)
    partition = read_partition(file)
    sets = (partition.whole() if all_frames else partition).rows(store.index)
    if name not in sets:
        raise UserError(file, f"has no set {name!r}", f"choose {' or '.join(sets)}")
    return sets[name]


app = room()


DETECTORS = "auto (blazeface if it is installed, else haar), blazeface, haar, mtcnn, ffld2, yunet:FILE."


@app.command("convert", epilog="Example: affkit convert clips/ holiday.mov -o converted --labels annotations")
def convert(
    inputs: argument(list[Path], "Video files, or folders of them."),
    out: option(Path, "Folder for the MP4 files.", "--out", "-o", callback=out_folder),
    labels: Labels = None,
    force: Force = False,
    jobs: Jobs = 1,
):
    """Any clip to MP4, H.264, constant 30 fps (Section III.A); labels are re-timed with their frames."""
    from affkit.video.convert import convert_videos

    written = convert_videos(inputs, out, labels=labels, force=force, jobs=jobs)
    typer.echo(f"{len(written)} videos in {out}")


@app.command("faces", epilog="Example: affkit faces converted/*.mp4 -o store --size 96 --labels annotations")
def faces(
    videos: argument(list[Path], "Video files."),
    out: option(Path, "Folder of the new store.", "--out", "-o", callback=out_folder),
    size: option(int, "Side of a crop in pixels: 96 or 32 in the paper.") = 96,
    detector: option(str, DETECTORS) = "auto",
    align: option(
        bool, "Turn and resize crops so that the eyes are level and at one place.", "--align"
    ) = False,
    labels: Labels = None,
    force: Force = False,
    jobs: Jobs = 1,
):
    """Detect, follow, crop and store the faces of some videos (Section III.E)."""
    from affkit.faces.extract import extract_faces

    how = {"size": size, "detector": detector, "align": align, "labels": labels}
    store = extract_faces(videos, out, **how, force=force, jobs=jobs)
    typer.echo(f"{len(store)} faces of {size} x {size} pixels in {out}")


@app.command("stats", epilog="Example: affkit stats --data data_samples/corpus -o figures")
def stats(
    data: option(Path, "A corpus, or annotations of Aff-Wild or Aff-Wild2.", "--data"),
    out: option(Path | None, "Folder for figures and tables.", "--out", "-o", callback=out_folder) = None,
    as_json: option(bool, "Print JSON instead of text.", "--json") = False,
    units: option(Path | None, "Picture of the action units for Figure 1: action_units.jpg.") = None,
    force: Force = False,
):
    """What a corpus holds, beside the paper's numbers (Section II)."""
    import json

    from affkit.corpus.corpus import Corpus
    from affkit.corpus.statistics import Statistics
    from affkit.files import existing_file, offered

    if units is not None:
        existing_file(units)
    corpus = Corpus.open(data, progress=True)
    statistics = Statistics.of(corpus, progress=True)
    if out is not None:
        offered("affkit.drawings", "corpus")(corpus, statistics, out, units, force)
    typer.echo(json.dumps(statistics.as_dict(), indent=2) if as_json else statistics.text())


@app.command("agree", epilog="Example: affkit agree coders/*.csv -o agreed --disagreed absent")
def agree(
    folders: argument(list[Path], "A table or a folder for each annotator."),
    out: option(Path, "Folder of the agreed annotations.", "--out", "-o", callback=out_folder),
    disagreed: option(Literal["unknown", "absent"], "What action units are where they differ.") = "unknown",
    keep: option(Literal["all", "majority"], "What all say, or what most say.") = "all",
    align: option(float, "Largest lag of raters to look for, in seconds.", min=0, max=3600) = 0,
    fps: option(float, "Frames a second, for --align.", min=1, max=120) = 30.0,
    common: option(bool, "Only the videos that all have.", "--common") = False,
    as_json: option(bool, "Print JSON, for programs.", "--json") = False,
    force: Force = False,
):
    """Keep the labels on which annotators agree, average ratings, and measure agreement (Section III.C-D)."""
    from affkit.corpus import agreement, reliability

    annotators = agreement.read_annotators(folders, common, progress=True)
    annotators, lags = agreement.align_ratings(annotators, round(align * fps), progress=True)
    table = reliability.agreement_table(annotators, keep, disagreed, lags if align else {}, progress=True)
    agreement.write_agreement(out, agreement.agree(annotators, keep, disagreed), table, force)
    typer.echo(table.to_json(orient="records") if as_json else reliability.as_text(table))


@app.command("split", epilog="Example: affkit split --data corpus --sizes 38,8,18 -o partition.json")
def split(
    data: option(Path | None, "Corpus: annotations and subjects.csv.") = None,
    sizes: option(str, "Videos to train, validate and test, or three fractions.") = "",
    out: option(Path | None, "The partition, a JSON file.", "--out", "-o", callback=out_file) = None,
    task: option(str | None, "au, expr or va; the first there are labels of.") = None,
    inactive: option(int | None, "Frames without an active unit to keep.") = None,
    check: option(Path | None, "Look for leaks in this file or folder instead.") = None,
    across_tasks: option(bool, "With --check: fail if sets of tasks mix.", "--across-tasks") = False,
    seed: Seed = 0,
    force: Force = False,
):
    """Divide a corpus by subject (Section II.D), or check a partition: exit code 1 if a subject is split."""
    if check is not None:
        from affkit.corpus.partition import check as look_for_leaks

        report = look_for_leaks(check, data)
        culprits = report.culprits(across_tasks)
        typer.echo("\n".join(culprits or [report.summary()]))
        if report.across and not across_tasks:
            typer.echo(report.note())
        raise typer.Exit(1 if culprits else 0)
    if data is None or out is None or not sizes:
        raise UserError("affkit split", "needs --data, --sizes and --out", "or --check with a file or folder")
    from affkit.corpus import split_by_subject as splitting
    from affkit.corpus.corpus import Corpus
    from affkit.corpus.partition import write_partition
    from affkit.files import refuse_existing

    refuse_existing(out, force)
    numbers, corpus = splitting.parse_sizes(sizes), Corpus.open(data, progress=True)
    partition = splitting.split_corpus(corpus, numbers, task, inactive, seed, progress=True)
    write_partition(out, partition, force)
    typer.echo(splitting.as_text(splitting.partition_table(partition, corpus)))


@app.command(
    "train.gan", epilog="Example: affkit train gan --data store --out run/gan --recipe kit --steps 2000"
)
def train_gan(
    data: option(Path, "Store of faces.", "--data"),
    out: option(Path, "Folder of the run.", "--out", callback=out_folder),
    part: Part = "",
    pool: option(Path | None, "Folder of faces without labels, half of each batch.", "--pool") = None,
    config: option(Config, "Tables V-VI (1), VII-VIII (2), or the latter with 7x7.") = "1",
    recipe: Recipe = "kit",
    targets: option(str, "va+au, va or au.") = "va+au",
    va_loss: option(str, "ccc or mse, for real and for generated faces.") = "ccc",
    augment: option(str, "Change what the discriminator sees: any of flip,color,translation,cutout.") = "",
    spectral_norm: option(bool, "In the discriminator, for batch normalisation.", "--spectral-norm") = False,
    steps: option(int, "Steps in all.", min=1) = 1000,
    save_every: SaveEvery = 200,
    width: Width = 1.0,
    seed: Seed = 0,
    resume: Resume = False,
    device: Device = "auto",
    precision: Precision = "32-true",
):
    """Train generator and discriminator (Section IV.A)."""
    from affkit.faces.pool import pool_store, with_pool
    from affkit.store import Store
    from affkit.train_gan import GanConfig
    from affkit.train_gan import train_gan as train

    settings = {"width": width, "targets": targets, "va_loss": va_loss, "fake_va_loss": va_loss, "seed": seed}
    settings |= {"augment": tuple(filter(None, augment.split(","))), "spectral_norm": spectral_norm}
    settings = GanConfig.recipe(recipe, config, **settings)
    store = Store.open(data)
    rows = part_rows(store, part)
    if pool is not None:
        every = range(len(store)) if rows is None else rows
        store, rows = with_pool(store, every, pool_store(pool, store.size))
    run = train(store, out, settings, steps, resume, device, precision, rows=rows, save_every=save_every)
    typer.echo(f"{run.generator} after {len(run.log)} steps")


@app.command("train.mtl", epilog="Example: affkit train mtl --data store --out run/mtl --steps 100")
def train_mtl(
    data: option(Path, "Store of faces with labels.", "--data"),
    out: option(Path, "Folder of the run.", "--out", callback=out_folder),
    part: Part = "",
    all_frames: AllFrames = True,
    steps: option(int, "Batches in all.", min=1) = 100,
    save_every: SaveEvery = 200,
    alpha: option(float, "Weight of valence and arousal in Eq. 6.") = 0.5,
    beta: option(float, "Weight of the expressions in Eq. 6.") = 0.5,
    va_loss: option(str, "ccc or mse.") = "ccc",
    expr_loss: option(str, "cross_entropy, mse_before_softmax or mse_after_softmax.") = "cross_entropy",
    frozen: option(bool, "Leave the CNN as it is; give --weights.", "--frozen") = False,
    weights: Weights = None,
    vgg_weights: VggWeights = None,
    cache: Cache = None,
    attention: option(str, "additive or dot_product.") = "additive",
    recurrent: option(
        bool, "GRU and attention, or each frame by itself.", "--recurrent/--no-recurrent"
    ) = True,
    frames_at_a_time: option(int | None, "Frames in the CNN together: fewer need less memory.", min=1) = None,
    lr: option(float, "Learning rate.", min=1e-12, max=1e3) = 1e-3,
    width: Width = 0.125,
    seed: Seed = 0,
    resume: Resume = False,
    device: Device = "auto",
    precision: Precision = "32-true",
):
    """Train VGGFACE-GRU-attention on valence, arousal and expressions (Section IV.B).

    Several processes: torchrun --nproc-per-node 2 -m affkit train mtl ...
    """
    from affkit.loop import first_process
    from affkit.store import Store
    from affkit.train_multitask import MtlConfig
    from affkit.train_multitask import train_mtl as train

    settings = {"alpha": alpha, "beta": beta, "va_loss": va_loss, "expression_loss": expr_loss}
    settings |= {"width": width, "attention": attention, "recurrent": recurrent, "frozen": frozen}
    config = MtlConfig(**settings, lr=lr, frames_at_a_time=frames_at_a_time, seed=seed)
    how = {"resume": resume, "device": device, "precision": precision, "save_every": save_every}
    start = {"weights": weights, "vgg_weights": vgg_weights, "cache": cache}
    store = Store.open(data)
    rows = part_rows(store, part, all_frames)
    run = train(store, out, config, steps=steps, rows=rows, **start, **how)
    if first_process():
        if run.loaded:
            typer.echo(str(run.loaded))
        typer.echo(f"{run.checkpoint} after {len(run.log)} steps")


@app.command(
    "generate",
    epilog="Example: affkit generate --checkpoint run/gan/generator.safetensors --n 64 -o grid.png",
)
def generate(
    checkpoint: option(Path, "generator.safetensors of a run."),
    out: option(Path, "The picture, a PNG file.", "--out", "-o", callback=out_file),
    n: option(int, "How many faces.", "--n", min=1) = 64,
    seed: Seed = 0,
    force: Force = False,
):
    """Draw faces from noise with a trained generator."""
    from affkit.files import refuse_existing
    from affkit.gan import generate as draw
    from affkit.store import image_grid, write_picture

    refuse_existing(out, force)
    write_picture(out, image_grid(draw(checkpoint, n, seed)))
    typer.echo(f"{n} faces in {out}")


@app.command("predict", epilog="Example: affkit predict holiday.mp4 clips/ -o predicted")
def predict(
    videos: argument(list[Path], "Video files, or folders of them."),
    out: option(Path, "A folder; or FILE.csv for the table alone.", "--out", "-o", callback=out_file),
    checkpoint: option(list[Path] | None, "A network, or several; by default the kit's two.") = None,
    detector: option(str, DETECTORS) = "auto",
    with_video: option(bool, "Draw the annotated video into the folder.", "--video/--no-video") = True,
    device: Device = "auto",
    force: Force = False,
):
    """Valence, arousal, expressions and action units of each face in each frame of videos.

    The folder holds summary.html with traces, rates and the peaks, table.csv, openface.csv with the columns
    of OpenFace and py-feat, label files in the ABAW layout, and an annotated MP4. Of several videos it holds
    such a folder each, and the table of all.
    """
    from affkit.evaluation.predict import predict_videos
    from affkit.files import offered

    draw = offered("affkit.drawings", "overlay") if with_video else None
    summarize = offered("affkit.drawings", "summary")
    count = predict_videos(videos, out, checkpoint or (), detector, device, draw, summarize, force)
    typer.echo(f"{count} faces in {out}")


@app.command(
    "evaluate.predictions",
    hidden=True,  # what `affkit evaluate` does with words that name no other command
    epilog="Example: affkit evaluate data_samples/corpus/raters/R1.csv data_samples/corpus --task va. "
    "Of a GAN: affkit evaluate gan --run run/gan --data store --features f.safetensors",
)
def evaluate_predictions(
    predictions: argument(Path, "Predictions, written like labels: a file or a folder.", metavar="PRED"),
    truth: argument(Path, "Labels: a corpus, a layout of ABAW, a file.", metavar="TRUTH"),
    task: option(str, "va, expr, au; or mtl, all that both have.", "--task"),
    split: option(str | None, "Only this set of the truth: train, validation or test.", "--set") = None,
    partial: option(bool, "Leave out labelled frames without a prediction.", "--partial") = False,
    per_video: option(
        bool, "Mean over videos of the score of each, instead of all frames.", "--per-video"
    ) = False,
    num_resamples: option(
        int, "Resamples of the subjects for intervals; 0: none.", "--bootstrap", min=0
    ) = 1000,
    subjects: option(Path | None, "Who is who; by default subjects.csv in the folder of the truth.") = None,
    as_json: option(bool, "Print JSON instead of text.", "--json") = False,
    seed: Seed = 0,
):
    """CCC, F1 and accuracy of predictions (Section IV.D), with intervals by subject.

    Frames are matched by video and number; -5 and -1 mark what is not labelled, or not predicted.
    """
    import json

    from affkit.evaluation.evaluate import Options, evaluate_files

    options = Options(per_video, partial, num_resamples, seed, progress=True)
    evaluation = evaluate_files(predictions, truth, task, split, subjects, options)
    typer.echo(json.dumps(evaluation.as_dict(), indent=2) if as_json else evaluation.text())
