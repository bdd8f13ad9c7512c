"""Commands that repeat the paper's experiments: every row of a table, with several seeds."""

from pathlib import Path
from typing import Annotated

import typer

from affkit.cli.options import Config, Device, Recipe, Runs, Width, experiment_app
from affkit.errors import UserError

Data = Annotated[Path, typer.Option("--data", help="Store of faces with labels.")]
PartitionFile = Annotated[Path, typer.Option("--partition", help="File made by `affkit split`.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the experiment; the same command goes on there.")]
Seeds = Annotated[str, typer.Option("--seeds", help="Numbers; each row is trained once with each.")]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Steps of each run.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@experiment_app.command(
    "table-ix",
    epilog="Example: affkit experiment table-ix --data store --partition partition.json --out runs/table-ix",
)
def table_ix(
    data: Data,
    partition: PartitionFile,
    out: Out,
    seeds: Seeds = "0,1,2",
    steps: Steps = 2000,
    width: Width = 1.0,
    config: Config = Config.ONE,
    recipe: Recipe = "kit",
    jobs: Runs = 1,
    device: Device = "auto",
    as_json: Json = False,
):
    """The discriminator as regressor, classifier or both, beside the paper's numbers (Table IX).

    The paper's own: a store of Aff-Wild, --recipe paper --config 2 --width 1.
    """
    from affkit.learn import table_ix as experiment
    from affkit.learn.experiments import Plan
    from affkit.show.experiment_figures import table_ix_bars
    from affkit.show.plots import use_style

    plan = Plan(data, partition, out, _numbers(seeds, int), steps, recipe, config.value, width, device, jobs)
    results = experiment.table_ix(plan)
    use_style()
    _finish(results, out, experiment.printed(results), table_ix_bars(results), as_json)


@experiment_app.command(
    "semi-supervised",
    epilog="Example: affkit experiment semi-supervised --data store --partition partition.json "
    "--pool data_samples/pool --out runs/semi",
)
def semi_supervised(
    data: Data,
    partition: PartitionFile,
    out: Out,
    pool: Annotated[Path | None, typer.Option("--pool", help="Folder of faces without labels.")] = None,
    shares: Annotated[str, typer.Option(help="Shares of the faces that keep labels.")] = "0.02,0.1,0.5,1",
    by: Annotated[str, typer.Option("--by", help="What keeps labels: frame or subject.")] = "frame",
    seeds: Seeds = "0,1,2",
    steps: Steps = 2000,
    width: Width = 1.0,
    config: Config = Config.ONE,
    recipe: Recipe = "kit",
    jobs: Runs = 1,
    device: Device = "auto",
    as_json: Json = False,
):
    """What faces without labels are worth when few have them (Section IV.A)."""
    from affkit.learn import semi_supervised as experiment
    from affkit.learn.experiments import Plan
    from affkit.show.experiment_figures import label_share_curves
    from affkit.show.plots import use_style

    plan = Plan(data, partition, out, _numbers(seeds, int), steps, recipe, config.value, width, device, jobs)
    results = experiment.semi_supervised(plan, pool, _numbers(shares, float), by)
    use_style()
    figure = label_share_curves(results, title=experiment.TITLE)
    _finish(results, out, experiment.printed(results), figure, as_json)


def _numbers(text: str, kind: type) -> list:
    try:
        return [kind(number) for number in text.split(",")]
    except ValueError as error:
        raise UserError(text, "is not numbers with commas between them", "give such as 0,1,2") from error


def _finish(results, out: Path, table, figure, as_json: bool) -> None:
    """Write the figure, and print the table and what became of each claim."""
    import json

    import matplotlib.pyplot as plt

    from affkit.files import write_beside

    with write_beside(out / "figure.png") as part:
        figure.savefig(part, dpi=100)
    plt.close(figure)
    if as_json:
        typer.echo(json.dumps(results.as_dict(), ensure_ascii=False))
    else:
        typer.echo("\n".join([table.to_string(index=False), "", *results.sentences, "", f"All in {out}"]))
