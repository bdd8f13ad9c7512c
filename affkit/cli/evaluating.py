"""The command that scores predictions against labels."""

from pathlib import Path
from typing import Annotated

import typer

from affkit.cli.options import Seed, evaluate_app


@evaluate_app.command(
    "predictions",
    hidden=True,  # what `affkit evaluate` does with words that name no other command
    epilog="Example: affkit evaluate data_samples/corpus/raters/R1 data_samples/corpus --task va. "
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

    from affkit.learn.evaluation import Options, evaluate_files

    options = Options(per_video, partial, num_resamples, seed, progress=True)
    evaluation = evaluate_files(predictions, truth, task, split, subjects, options)
    typer.echo(json.dumps(evaluation.as_dict(), indent=2) if as_json else evaluation.text())
