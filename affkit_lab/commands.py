"""Commands of the lab: networks that look at faces, the paper's experiments, how good a GAN is."""

from collections.abc import Callable
from pathlib import Path

import typer

from affkit import commands
from affkit.commands import option, out_folder, room
from affkit.errors import UserError

app = room()


@app.command("train.cnn", epilog="Example: affkit train cnn --data others --out run/cnn --steps 4000")
def train_cnn(
    data: option(Path, "Store of faces with labels, of other people.", "--data"),
    out: option(Path, "Folder of the run.", "--out", callback=out_folder),
    part: commands.Part = "",
    steps: option(int, "Batches in all.", min=1) = 4000,
    save_every: commands.SaveEvery = 200,
    lr: option(float, "Learning rate of the first step; falls to 0.", min=1e-12, max=1e3) = 2e-3,
    width: commands.Width = 0.125,
    seed: commands.Seed = 0,
    resume: commands.Resume = False,
    device: commands.Device = "auto",
):
    """Train the convolutional half that `affkit train mtl --weights` starts from: who it is, action units."""
    from affkit.store import Store
    from affkit_lab.backbones.train_faces import cnn_config, train_faces

    store = Store.open(data)
    config = cnn_config(width=width, image_size=store.size, lr=lr, lr_steps=steps, seed=seed)
    rows = commands.part_rows(store, part)
    file = train_faces(store, out, config, steps, resume, device, rows=rows, save_every=save_every)
    typer.echo(f"{file} after {steps} steps")


@app.command(
    "train.features",
    epilog="Example: affkit train features --data store --out run/features --part p.json:test",
)
def train_features(
    data: option(Path, "Store of faces with labels.", "--data"),
    out: option(Path, "Folder of the run.", "--out", callback=out_folder),
    part: commands.Part = "",
    steps: option(int, "Batches in all.", min=1) = 1000,
    save_every: commands.SaveEvery = 200,
    seed: commands.Seed = 0,
    resume: commands.Resume = False,
    device: commands.Device = "auto",
):
    """Train the small network that `affkit evaluate gan` looks at generated faces with."""
    from affkit.store import Store
    from affkit_lab.backbones.train_faces import features_config, train_faces

    store, config = Store.open(data), features_config(seed=seed)
    rows = commands.part_rows(store, part)
    file = train_faces(store, out, config, steps, resume, device, rows=rows, save_every=save_every)
    typer.echo(f"{file} after {steps} steps")


@app.command(
    "evaluate.gan",
    epilog="Example: affkit evaluate gan --run run/gan --data store --features f.safetensors -o out",
)
def evaluate_gan(
    run: option(Path, "Folder of the run: generator and discriminator.", "--run"),
    data: option(Path, "Store of the faces it was trained on, with labels.", "--data"),
    features: option(Path, "features.safetensors of `affkit train features`."),
    part: commands.Part = "",
    n: option(int, "How many faces to generate.", "--n", min=16) = 1000,
    out: option(Path | None, "Folder for results.", "--out", "-o", callback=out_folder) = None,
    as_json: option(bool, "Print JSON instead of text.", "--json") = False,
    seed: commands.Seed = 0,
    force: commands.Force = False,
):
    """FID, diversity, copies and the discriminator's reading of generated faces, beside real ones."""
    import json

    from affkit.files import refuse_existing
    from affkit.store import Store
    from affkit_lab.gan_evaluation import scores as gan_evaluation

    if out is not None:
        refuse_existing(out / "evaluation.csv", force)  # before the work, not after it
    store = Store.open(data)
    rows = commands.part_rows(store, part)
    networks = run / "generator.safetensors", run / "discriminator.safetensors", features
    evaluation = gan_evaluation.evaluate_gan(*networks, store, rows, n, seed)
    if out is not None:
        from affkit_lab.figures.gan import write_gan_figures

        write_gan_figures(evaluation, store, rows, out, force)
    typer.echo(json.dumps(evaluation.as_dict(), indent=2) if as_json else evaluation.text())


def numbers(kind: type) -> Callable:
    """Makes a list of the text of an option: numbers with commas between them."""

    def read(given: typer.CallbackParam, text: str) -> list:
        said = f"{given.opts[0]} {text}"
        try:
            found = [kind(number) for number in text.split(",")]
        except ValueError as error:
            raise UserError(said, "is not numbers with commas between them", "give such as 0,1,2") from error
        if not all(0 <= number <= commands.MOST_SEED for number in found):  # also what is no number, "nan"
            raise UserError(said, f"is not from 0 to {commands.MOST_SEED}", "give such as 0,1,2")
        return found

    return read


Data = option(Path, "Store of faces with labels.", "--data")
PartitionFile = option(Path, "File made by `affkit split`.", "--partition")
Out = option(Path, "Folder of the experiment, to go on with as well.", "--out", callback=out_folder)
Seeds = option(str, "Numbers; each row is trained once with each.", "--seeds", callback=numbers(int))
Shares = option(str, "Fractions of the faces that keep labels.", "--shares", callback=numbers(float))
Amounts = option(str, "Faces to add for each that keeps its labels.", "--amounts", callback=numbers(float))
Steps = option(int, "Steps of each run.", "--steps", min=1)
Json = option(bool, "Print JSON, for programs.", "--json")


@app.command(
    "experiment.table-ix",
    epilog="Example: affkit experiment table-ix --data store --partition partition.json --out runs/table-ix",
)
def table_ix(
    data: Data,
    partition: PartitionFile,
    out: Out,
    seeds: Seeds = "0,1,2",
    steps: Steps = 2000,
    width: commands.Width = 1.0,
    config: commands.Config = "1",
    recipe: commands.Recipe = "kit",
    jobs: commands.Runs = 1,
    device: commands.Device = "auto",
    as_json: Json = False,
):
    """The discriminator as regressor, classifier or both, beside the paper's numbers (Table IX).

    The paper's own: a store of Aff-Wild, --recipe paper --config 2 --width 1.
    """
    from affkit_lab.experiments import table_ix as experiment
    from affkit_lab.figures.tables import table_ix_bars

    how = {"recipe": recipe, "configuration": config, "width": width, "device": device, "jobs": jobs}
    results = experiment.table_ix(experiment.GanPlan(data, partition, out, seeds, steps, **how))
    _finish(experiment, results, out, table_ix_bars, as_json)


@app.command(
    "experiment.semi-supervised",
    epilog="Example: affkit experiment semi-supervised --data store --partition partition.json "
    "--pool data_samples/pool --out runs/semi",
)
def semi_supervised(
    data: Data,
    partition: PartitionFile,
    out: Out,
    pool: option(Path | None, "Folder of faces without labels.", "--pool") = None,
    fractions: Shares = "0.02,0.1,0.5,1",
    by: option(str, "What keeps labels: frame or subject.", "--by") = "frame",
    seeds: Seeds = "0,1,2",
    steps: Steps = 2000,
    width: commands.Width = 1.0,
    config: commands.Config = "1",
    recipe: commands.Recipe = "kit",
    jobs: commands.Runs = 1,
    device: commands.Device = "auto",
    as_json: Json = False,
):
    """What faces without labels are worth when few have them (Section IV.A)."""
    from affkit_lab.experiments import semi_supervised as experiment
    from affkit_lab.experiments.table_ix import GanPlan
    from affkit_lab.figures.tables import label_share_curves

    how = {"recipe": recipe, "configuration": config, "width": width, "device": device, "jobs": jobs}
    plan = GanPlan(data, partition, out, seeds, steps, **how)
    results = experiment.semi_supervised(plan, pool, fractions, by)
    _finish(experiment, results, out, label_share_curves, as_json)


@app.command(
    "experiment.enrich",
    epilog="Example: affkit experiment enrich --data store --partition partition.json "
    "--generator data_samples/weights/gan_1/generator.safetensors "
    "--discriminator data_samples/weights/gan_1/discriminator.safetensors --out runs/enrich",
)
def enrich(
    data: Data,
    partition: PartitionFile,
    generator: option(Path, "generator.safetensors of a GAN.", "--generator"),
    discriminator: option(Path, "discriminator.safetensors of it.", "--discriminator"),
    out: Out,
    fractions: Shares = "0.25,0.5,1",
    by: option(str, "What keeps labels: frame or subject.", "--by") = "subject",
    amounts: Amounts = "1,4",
    most: option(int, "Leave out what would need more added faces.", min=1) = 10_000,
    seeds: Seeds = "0,1,2,3,4",
    steps: Steps = 1200,
    width: commands.Width = 1.0,
    jobs: commands.Runs = 1,
    device: commands.Device = "auto",
    as_json: Json = False,
):
    """Does it help to add generated faces to the training set? (Section VI)

    The GAN must have been trained on the training set of the same partition, and on nobody else with labels.
    The GANs in data_samples/weights were: on that of `affkit split --data data_samples/corpus --sizes 38,8,18
    --task au`. Their discriminators know all labels of that training set, also those that a fraction
    leaves out. With few steps real faces alone are ahead in F1, since more faces take longer to learn.
    """
    from affkit_lab.backbones.train_faces import predictor_config
    from affkit_lab.experiments import enrichment as experiment
    from affkit_lab.figures.tables import enrichment_gains

    plan = experiment.EnrichPlan(
        data, partition, out, seeds, steps, generator=generator, discriminator=discriminator,
        config=predictor_config(width), fractions=fractions, by=by, amounts=amounts, most=most,
        device=device, jobs=jobs,
    )  # fmt: skip
    results = experiment.enrich(plan)
    _finish(experiment, results, out, enrichment_gains, as_json)


Frozen = option(bool, "Leave the CNN as it is, or train all of the network.", "--frozen/--end-to-end")
MTL_EXAMPLE = (
    "Example: affkit experiment {0} --data store --partition partition.json "
    "--weights data_samples/weights/cnn.safetensors --out runs/{0}"
)
MTL_PAPER = "\n\nThe paper's: Aff-Wild in 224 pixels, --width 1 --vgg-weights FILE --listed-frames."


@app.command(
    "experiment.table-x",
    help="One task or both: alpha and beta of Eq. 6, beside the paper's numbers (Table X)." + MTL_PAPER,
    epilog=MTL_EXAMPLE.format("table-x"),
)
@app.command(
    "experiment.table-xi",
    help="Losses and learning rates of the multi-task network, beside the paper's (Table XI)." + MTL_PAPER,
    epilog=MTL_EXAMPLE.format("table-xi"),
)
def mtl_table(
    context: typer.Context,
    data: Data,
    partition: PartitionFile,
    out: Out,
    weights: commands.Weights = None,
    vgg_weights: commands.VggWeights = None,
    frozen: Frozen = True,
    all_frames: commands.AllFrames = True,
    seeds: Seeds = "0,1,2",
    steps: Steps = 400,
    width: commands.Width = 0.125,
    cache: commands.Cache = None,
    jobs: commands.Runs = 1,
    device: commands.Device = "auto",
    as_json: Json = False,
):
    """Train the multi-task network in all rows of Table X or XI."""
    from affkit.train_multitask import MtlConfig
    from affkit_lab.experiments import table_x, table_xi
    from affkit_lab.figures.tables import table_x_bars, table_xi_bars

    plan = table_x.MtlPlan(
        data, partition, out, seeds, steps, config=MtlConfig(width=width, frozen=frozen), weights=weights,
        vgg_weights=vgg_weights, all_frames=all_frames, cache=cache, device=device, jobs=jobs,
    )  # fmt: skip
    if context.info_name == "table-x":
        _finish(table_x, table_x.table_x(plan), out, table_x_bars, as_json)
    else:
        _finish(table_xi, table_xi.table_xi(plan), out, table_xi_bars, as_json)


def _finish(experiment, results, out: Path, draw: Callable, as_json: bool) -> None:
    """Draw the figure of the results, and print the table and the verdict on each claim."""
    import json

    import matplotlib.pyplot as plt

    from affkit.files import write_beside
    from affkit_lab.figures.style import use_style

    use_style()
    figure = draw(results, title=experiment.TITLE)
    with write_beside(out / "figure.png") as part:
        figure.savefig(part, dpi=100)
    plt.close(figure)
    if as_json:
        typer.echo(json.dumps(results.as_dict(), ensure_ascii=False))
    else:
        table = experiment.printed(results).to_string(index=False)
        typer.echo("\n".join([table, "", *results.sentences, "", f"All in {out}"]))
