"""Commands that train, generate, predict, and run the course."""

from pathlib import Path
from typing import Annotated

import typer

from affkit.cli.options import (
    AllFrames,
    Cache,
    Config,
    Device,
    Force,
    Part,
    Precision,
    Recipe,
    Resume,
    SaveEvery,
    Seed,
    VggWeights,
    Weights,
    Width,
    app,
    evaluate_app,
    out_file,
    out_folder,
    part_rows,
    train_app,
)


@train_app.command(
    "gan", epilog="Example: affkit train gan --data store --out run/gan --recipe kit --steps 2000"
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
    from affkit.data.joint import with_pool
    from affkit.data.pool import pool_store
    from affkit.data.store import Store
    from affkit.learn import train

    changes = {"width": width, "targets": targets, "va_loss": va_loss, "fake_va_loss": va_loss, "seed": seed}
    changes |= {"augment": tuple(filter(None, augment.split(","))), "spectral_norm": spectral_norm}
    settings = train.GanConfig.recipe(recipe, configuration=config.value, **changes)
    store = Store.open(data)
    rows = part_rows(store, part)
    if pool is not None:
        every = range(len(store)) if rows is None else rows
        store, rows = with_pool(store, every, pool_store(pool, store.size))
    how = {"resume": resume, "device": device, "precision": precision, "save_every": save_every}
    run = train.train_gan(store, out, settings, steps, rows=rows, **how)
    typer.echo(f"{run.generator} after {len(run.log)} steps")


@train_app.command("mtl", epilog="Example: affkit train mtl --data store --out run/mtl --steps 100")
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
        int | None,
        typer.Option(min=1, help="Frames in the CNN together: fewer need less memory."),
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
    from affkit.data.store import Store
    from affkit.learn import train
    from affkit.learn.runs import first_process

    losses = {"alpha": alpha, "beta": beta, "va_loss": va_loss, "expression_loss": expr_loss}
    net = {"width": width, "attention": attention, "recurrent": recurrent}
    net |= {"lr": lr, "frozen": frozen, "frames_at_a_time": frames_at_a_time, "seed": seed}
    config = train.MtlConfig(**net, **losses)
    how = {"resume": resume, "device": device, "precision": precision, "save_every": save_every}
    start = {"weights": weights, "vgg_weights": vgg_weights, "cache": cache}
    store = Store.open(data)
    rows = part_rows(store, part, all_frames)
    run = train.train_mtl(store, out, config, steps=steps, rows=rows, **start, **how)
    if first_process():
        if run.loaded:
            typer.echo(str(run.loaded))
        typer.echo(f"{run.checkpoint} after {len(run.log)} steps")


@train_app.command("cnn", epilog="Example: affkit train cnn --data others --out run/cnn --steps 4000")
def train_cnn(
    data: Annotated[Path, typer.Option("--data", help="Store of faces with labels, of other people.")],
    out: Annotated[Path, typer.Option("--out", callback=out_folder, help="Folder of the run.")],
    part: Part = "",
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 4000,
    save_every: SaveEvery = 200,
    lr: Annotated[
        float, typer.Option(min=1e-12, max=1e3, help="Learning rate of the first step; falls to 0.")
    ] = 2e-3,
    width: Width = 0.125,
    seed: Seed = 0,
    resume: Resume = False,
    device: Device = "auto",
):
    """Train the convolutional half that `affkit train mtl --weights` starts from: who it is, action units."""
    from affkit.data.store import Store
    from affkit.learn.face_training import CnnConfig, train_faces

    store = Store.open(data)
    config = CnnConfig(width=width, image_size=store.size, lr=lr, lr_steps=steps, seed=seed)
    how = {"resume": resume, "device": device, "rows": part_rows(store, part), "save_every": save_every}
    typer.echo(f"{train_faces(store, out, config, steps, **how)} after {steps} steps")


@train_app.command(
    "features", epilog="Example: affkit train features --data store --out run/features --part p.json:test"
)
def train_features(
    data: Annotated[Path, typer.Option("--data", help="Store of faces with labels.")],
    out: Annotated[Path, typer.Option("--out", callback=out_folder, help="Folder of the run.")],
    part: Part = "",
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 1000,
    save_every: SaveEvery = 200,
    seed: Seed = 0,
    resume: Resume = False,
    device: Device = "auto",
):
    """Train the small network that `affkit evaluate gan` looks at generated faces with."""
    from affkit.data.store import Store
    from affkit.learn.face_training import FeatureConfig, train_faces

    store = Store.open(data)
    how = {"resume": resume, "device": device, "rows": part_rows(store, part), "save_every": save_every}
    typer.echo(f"{train_faces(store, out, FeatureConfig(seed=seed), steps, **how)} after {steps} steps")


@evaluate_app.command(
    "gan", epilog="Example: affkit evaluate gan --run run/gan --data store --features f.safetensors -o out"
)
def evaluate_gan(
    run: Annotated[Path, typer.Option("--run", help="Folder of the run: generator and discriminator.")],
    data: Annotated[Path, typer.Option("--data", help="Store of the faces it was trained on, with labels.")],
    features: Annotated[Path, typer.Option(help="features.safetensors of `affkit train features`.")],
    part: Part = "",
    n: Annotated[int, typer.Option("--n", min=16, help="How many faces to generate.")] = 1000,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", callback=out_folder, help="Folder for pictures and tables.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    seed: Seed = 0,
    force: Force = False,
):
    """FID, diversity, copies and the discriminator's reading of generated faces, beside real ones."""
    import json

    from affkit.data.store import Store
    from affkit.files import refuse_existing
    from affkit.learn import gan_evaluation

    if out is not None:
        refuse_existing(out / "evaluation.csv", force)  # before the work, not after it
    store = Store.open(data)
    rows = part_rows(store, part)
    networks = run / "generator.safetensors", run / "discriminator.safetensors", features
    evaluation = gan_evaluation.evaluate_gan(*networks, store, rows, n, seed)
    if out is not None:
        from affkit.show.gan_figures import write_gan_figures

        write_gan_figures(evaluation, store, rows, out, force)
    typer.echo(json.dumps(evaluation.as_dict(), indent=2) if as_json else evaluation.text())


@app.command(epilog="Example: affkit generate --checkpoint run/gan/generator.safetensors --n 64 -o grid.png")
def generate(
    checkpoint: Annotated[Path, typer.Option(help="generator.safetensors of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=out_file, help="The picture, a PNG file.")],
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
    epilog="Example: affkit predict clip.mp4 -o predicted --checkpoint run/mtl/affwildnet.safetensors"
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
    from affkit.files import refuse_existing
    from affkit.learn.clips import predict_video, write_predictions

    if out.suffix.lower() == ".csv":
        refuse_existing(out, force)
        predictions = predict_video(video, checkpoint, detector=detector, device=device)
        write_predictions(out, predictions, force)
    else:
        from affkit.show.prediction_folder import check_prediction_folder, write_prediction_folder

        check_prediction_folder(out, video, force)
        predictions = predict_video(video, checkpoint, detector=detector, device=device)
        write_prediction_folder(out, video, predictions, with_video, force)
    typer.echo(f"{len(predictions)} faces in {out}")


Readers = Annotated[
    list[Path] | None, typer.Option("--reader", help="A network that reads faces; may be given again.")
]
DirectionsFile = Annotated[
    Path | None, typer.Option(help="File of directions; learned and written when it is not there.")
]


@app.command(epilog="Example: affkit browse --checkpoint data_samples/weights/gan_2/generator.safetensors")
def browse(
    checkpoint: Annotated[Path, typer.Option(help="generator.safetensors of a GAN.")],
    reader: Readers = None,
    directions: DirectionsFile = None,
    favourites: Annotated[
        Path, typer.Option(help="File of faces to come back to; films go beside it.")
    ] = Path("favourites.json"),
    data: Annotated[Path | None, typer.Option("--data", help="Training faces: a store or a pool.")] = None,
    features: Annotated[Path | None, typer.Option(help="features.safetensors, for likeness.")] = None,
    labels: Annotated[Path | None, typer.Option(help="A corpus whose clips can be played.")] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")] = 0,
):
    """Browse generated faces in the browser: sliders, locks, the V-A plane, films, favourites, photographs.

    Networks beside the generator or one folder up are used without being named: discriminator.safetensors,
    cnn.safetensors, affwildnet.safetensors and features.safetensors.
    """
    from affkit.show.standalone import serve_latent

    files = {"favourites": favourites, "data": data, "features": features, "labels": labels}
    serve_latent(checkpoint, reader or (), directions, port, browser, **files)


@app.command(
    epilog="Example: affkit page --checkpoint data_samples/weights/gan_1/generator.safetensors -o page.html"
)
def page(
    checkpoint: Annotated[Path, typer.Option(help="generator.safetensors of a GAN.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=out_file, help="The page, an HTML file.")],
    reader: Readers = None,
    directions: DirectionsFile = None,
    principal: Annotated[
        bool, typer.Option("--principal", help="Principal directions only: they need no network that reads.")
    ] = False,
    title: Annotated[str, typer.Option(help="Heading of the page; Faces from 100 numbers by default.")] = "",
    force: Force = False,
):
    """Write a page that draws faces in the browser by itself: one file, no server, nothing fetched.

    Networks beside the generator or one folder up are used without being named, as by `affkit browse`.
    """
    from affkit.files import refuse_existing
    from affkit.show.explore import Explorer
    from affkit.show.latent_browser import companions
    from affkit.show.live.live import TITLE, write_live_page

    refuse_existing(out, force)  # before the work, not after it
    found = None
    if not principal:
        readers = reader or companions(checkpoint, "cnn", "affwildnet")
        found = Explorer.open(checkpoint, readers, directions, progress=True).directions
    write_live_page(checkpoint, out, found, title or TITLE, force)
    typer.echo(f"{out}, {out.stat().st_size / 1e6:.1f} MB: open it in a browser")
