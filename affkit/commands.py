"""Commands of the library: from a raw clip to faces, labels, trained networks and scores."""

from pathlib import Path
from typing import Annotated

import typer

from affkit.cli import (
    AllFrames,
    Cache,
    Config,
    Device,
    Disagreed,
    Force,
    Jobs,
    Keep,
    Labels,
    Part,
    Precision,
    Recipe,
    Resume,
    SaveEvery,
    Seed,
    VggWeights,
    Weights,
    Width,
    out_file,
    out_folder,
    part_rows,
    room,
)
from affkit.errors import UserError

app = room()


@app.command("convert", epilog="Example: affkit convert clips/ holiday.mov -o converted --labels annotations")
def convert(
    inputs: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=out_folder, help="Folder for the MP4 files.")],
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
    videos: Annotated[list[Path], typer.Argument(help="Video files.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=out_folder, help="Folder of the new store.")],
    size: Annotated[int, typer.Option(help="Side of a crop in pixels: 96 or 32 in the paper.")] = 96,
    detector: Annotated[str, typer.Option(help="haar, mtcnn, ffld2 or yunet:FILE.")] = "haar",
    labels: Labels = None,
    force: Force = False,
    jobs: Jobs = 1,
):
    """Detect, follow, crop and store the faces of some videos (Section III.E)."""
    from affkit.faces.extract import extract_faces

    store = extract_faces(videos, out, size=size, detector=detector, labels=labels, force=force, jobs=jobs)
    typer.echo(f"{len(store)} faces of {size} x {size} pixels in {out}")


@app.command("stats", epilog="Example: affkit stats --data data_samples/corpus -o figures")
def stats(
    data: Annotated[Path, typer.Option("--data", help="A corpus, or annotations of Aff-Wild or Aff-Wild2.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", callback=out_folder, help="Folder for figures and tables.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    units: Annotated[
        Path | None, typer.Option(help="Picture of the action units for Figure 1: action_units.jpg.")
    ] = None,
    force: Force = False,
):
    """What a corpus holds, beside the paper's numbers (Section II)."""
    import json

    from affkit.corpus.corpus import Corpus
    from affkit.corpus.statistics import Statistics
    from affkit.files import existing_file

    if units is not None:
        existing_file(units)
    corpus = Corpus.open(data, progress=True)
    statistics = Statistics.of(corpus, progress=True)
    if out is not None:
        from affkit.files import offered

        offered("affkit.drawings", "corpus")(corpus, statistics, out, units, force)
    typer.echo(json.dumps(statistics.as_dict(), indent=2) if as_json else statistics.text())


@app.command("agree", epilog="Example: affkit agree coders/*.csv -o agreed --disagreed absent")
def agree(
    folders: Annotated[list[Path], typer.Argument(help="A table or a folder for each annotator.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", callback=out_folder, help="Folder of the agreed annotations.")
    ],
    disagreed: Annotated[
        Disagreed, typer.Option(help="What action units are where they differ.")
    ] = "unknown",
    keep: Annotated[Keep, typer.Option(help="What all say, or what most say.")] = "all",
    align: Annotated[
        float, typer.Option(min=0, max=3600, help="Largest lag of raters to look for, in seconds.")
    ] = 0,
    fps: Annotated[float, typer.Option(min=1, max=120, help="Frames a second, for --align.")] = 30.0,
    common: Annotated[bool, typer.Option("--common", help="Only the videos that all have.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    force: Force = False,
):
    """Keep the labels on which annotators agree, average ratings, and measure agreement (Section III.C-D)."""
    from affkit.corpus import agreement, reliability
    from affkit.corpus.rater_lag import align_ratings

    annotators = agreement.read_annotators(folders, common, progress=True)
    annotators, lags = align_ratings(annotators, round(align * fps), progress=True)
    table = reliability.agreement_table(annotators, keep, disagreed, lags if align else {}, progress=True)
    agreement.write_agreement(out, agreement.agree(annotators, keep, disagreed), table, force)
    typer.echo(table.to_json(orient="records") if as_json else reliability.as_text(table))


@app.command("split", epilog="Example: affkit split --data corpus --sizes 38,8,18 -o partition.json")
def split(
    data: Annotated[Path | None, typer.Option(help="Corpus: annotations and subjects.csv.")] = None,
    sizes: Annotated[str, typer.Option(help="Videos to train, validate and test, or three shares.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", callback=out_file, help="The partition, a JSON file.")
    ] = None,
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
        from affkit.corpus import leakage

        report = leakage.check(check, data)
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
    data: Annotated[Path, typer.Option("--data", help="Store of faces.")],
    out: Annotated[Path, typer.Option("--out", callback=out_folder, help="Folder of the run.")],
    part: Part = "",
    pool: Annotated[
        Path | None, typer.Option("--pool", help="Folder of faces without labels, half of each batch.")
    ] = None,
    config: Annotated[
        Config, typer.Option(help="Tables V-VI (1), VII-VIII (2), or the latter with 7x7.")
    ] = Config.ONE,
    recipe: Recipe = "kit",
    targets: Annotated[str, typer.Option(help="va+au, va or au.")] = "va+au",
    va_loss: Annotated[str, typer.Option(help="ccc or mse, for real and for generated faces.")] = "ccc",
    augment: Annotated[
        str, typer.Option(help="Change what the discriminator sees: any of flip,color,translation,cutout.")
    ] = "",
    spectral_norm: Annotated[
        bool, typer.Option("--spectral-norm", help="In the discriminator, for batch normalisation.")
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 1000,
    save_every: SaveEvery = 200,
    width: Width = 1.0,
    seed: Seed = 0,
    resume: Resume = False,
    device: Device = "auto",
    precision: Precision = "32-true",
):
    """Train generator and discriminator (Section IV.A)."""
    from affkit.faces.pool import pool_store
    from affkit.store import Store, with_pool
    from affkit.train_gan import GanConfig
    from affkit.train_gan import train_gan as train

    settings = {"width": width, "targets": targets, "va_loss": va_loss, "fake_va_loss": va_loss, "seed": seed}
    settings |= {"augment": tuple(filter(None, augment.split(","))), "spectral_norm": spectral_norm}
    settings = GanConfig.recipe(recipe, config.value, **settings)
    store = Store.open(data)
    rows = part_rows(store, part)
    if pool is not None:
        every = range(len(store)) if rows is None else rows
        store, rows = with_pool(store, every, pool_store(pool, store.size))
    run = train(store, out, settings, steps, resume, device, precision, rows=rows, save_every=save_every)
    typer.echo(f"{run.generator} after {len(run.log)} steps")


@app.command("train.mtl", epilog="Example: affkit train mtl --data store --out run/mtl --steps 100")
def train_mtl(
    data: Annotated[Path, typer.Option("--data", help="Store of faces with labels.")],
    out: Annotated[Path, typer.Option("--out", callback=out_folder, help="Folder of the run.")],
    part: Part = "",
    all_frames: AllFrames = True,
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 100,
    save_every: SaveEvery = 200,
    alpha: Annotated[float, typer.Option(help="Weight of valence and arousal in Eq. 6.")] = 0.5,
    beta: Annotated[float, typer.Option(help="Weight of the expressions in Eq. 6.")] = 0.5,
    va_loss: Annotated[str, typer.Option(help="ccc or mse.")] = "ccc",
    expr_loss: Annotated[
        str, typer.Option(help="cross_entropy, mse_before_softmax or mse_after_softmax.")
    ] = "cross_entropy",
    frozen: Annotated[bool, typer.Option("--frozen", help="Leave the CNN as it is; give --weights.")] = False,
    weights: Weights = None,
    vgg_weights: VggWeights = None,
    cache: Cache = None,
    attention: Annotated[str, typer.Option(help="additive or dot_product.")] = "additive",
    recurrent: Annotated[
        bool, typer.Option("--recurrent/--no-recurrent", help="GRU and attention, or each frame by itself.")
    ] = True,
    frames_at_a_time: Annotated[
        int | None, typer.Option(min=1, help="Frames in the CNN together: fewer need less memory.")
    ] = None,
    lr: Annotated[float, typer.Option(min=1e-12, max=1e3, help="Learning rate.")] = 1e-3,
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
    checkpoint: Annotated[Path, typer.Option(help="generator.safetensors of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=out_file, help="The picture, a PNG file.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many faces.")] = 64,
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


@app.command(
    "predict",
    epilog="Example: affkit predict clip.mp4 -o predicted --checkpoint run/mtl/affwildnet.safetensors",
)
def predict(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", callback=out_file, help="A folder; or FILE.csv for the table alone."),
    ],
    checkpoint: Annotated[Path, typer.Option(help="affwildnet.safetensors or discriminator.safetensors.")],
    detector: Annotated[str, typer.Option(help="haar, mtcnn, ffld2 or yunet:FILE.")] = "haar",
    with_video: Annotated[
        bool, typer.Option("--video/--no-video", help="Draw the annotated video into the folder.")
    ] = True,
    device: Device = "auto",
    force: Force = False,
):
    """What a trained network says about each face in each frame of a video.

    The folder holds table.csv, openface.csv with the columns of OpenFace and py-feat, label files in the
    ABAW layout, and an annotated MP4.
    """
    from affkit.evaluation.predict import predict_video, write_predictions
    from affkit.files import refuse_existing
    from affkit.video.video import Video

    if out.suffix.lower() == ".csv":
        refuse_existing(out, force)
        predictions = predict_video(video, checkpoint, detector=detector, device=device)
        write_predictions(out, predictions, force)
    else:
        from affkit.evaluation.predict import check_prediction_folder, write_prediction_folder
        from affkit.files import offered

        check_prediction_folder(out, video, force)
        draw = offered("affkit.drawings", "overlay") if with_video else None
        with Video(video) as clip:
            predictions = predict_video(clip, checkpoint, detector=detector, device=device)
            write_prediction_folder(out, clip, predictions, draw, force)
    typer.echo(f"{len(predictions)} faces in {out}")


@app.command(
    "evaluate.predictions",
    hidden=True,  # what `affkit evaluate` does with words that name no other command
    epilog="Example: affkit evaluate data_samples/corpus/raters/R1.csv data_samples/corpus --task va. "
    "Of a GAN: affkit evaluate gan --run run/gan --data store --features f.safetensors",
)
def evaluate_predictions(
    predictions: Annotated[
        Path, typer.Argument(metavar="PRED", help="Predictions, written like labels: a file or a folder.")
    ],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH", help="Labels: a corpus, a layout of ABAW, a file.")
    ],
    task: Annotated[str, typer.Option("--task", help="va, expr, au; or mtl, all that both have.")],
    split: Annotated[
        str | None, typer.Option("--set", help="Only this set of the truth: train, validation or test.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out labelled frames without a prediction.")
    ] = False,
    per_video: Annotated[
        bool,
        typer.Option("--per-video", help="Mean over videos of the score of each, instead of all frames."),
    ] = False,
    num_resamples: Annotated[
        int, typer.Option("--bootstrap", min=0, help="Resamples of the subjects for intervals; 0: none.")
    ] = 1000,
    subjects: Annotated[
        Path | None, typer.Option(help="Who is who; by default subjects.csv in the folder of the truth.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
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
