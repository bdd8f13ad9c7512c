"""Commands from a raw clip to a labelled, counted and divided corpus."""

from pathlib import Path
from typing import Annotated

import typer

from affkit.cli.options import (
    MOST_SEED,
    Disagreed,
    Force,
    Jobs,
    Keep,
    Labels,
    Seed,
    Task,
    app,
    out_file,
    out_folder,
)
from affkit.errors import UserError


@app.command(epilog="Example: affkit convert clips/ holiday.mov -o converted --labels annotations")
def convert(
    inputs: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=out_folder, help="Folder for the MP4 files.")],
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
    out: Annotated[Path, typer.Option("--out", "-o", callback=out_folder, help="Folder of the new store.")],
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
    out: Annotated[Path, typer.Option("--out", "-o", callback=out_folder, help="Folder of the new corpus.")],
    scale: Annotated[
        str, typer.Option(help="The annotated corpus: kit, paper, or a share of the paper's such as 0.1.")
    ] = "",
    pool: Annotated[int, typer.Option(min=0, help="Instead of clips: unlabelled faces, one a person.")] = 0,
    subjects: Annotated[int, typer.Option(min=1, help="How many people, one clip each.")] = 4,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="Length of a clip.")] = 5.0,
    fps: Annotated[float, typer.Option(min=1, max=120, help="Frames a second.")] = 30.0,
    width: Annotated[int, typer.Option(min=2, help="Of the picture, in pixels.")] = 320,
    height: Annotated[int, typer.Option(min=2, help="Of the picture, in pixels.")] = 240,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=MOST_SEED, help="Same seed, same result on the CPU.")
    ] = None,
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


@app.command(epilog="Example: affkit doctor --data Aff-Wild2")
def doctor(
    data: Annotated[Path, typer.Option("--data", help="Any folder of videos, annotations or crops.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
):
    """What a folder is, what is missing or wrong in it, and the next commands. Writes nothing.

    Lines are compared with frames and with crops, -5 and -1 are counted, people in two sets are named. The
    exit code is 0 whatever is found.
    """
    import json

    from affkit.data.doctor.page import page
    from affkit.data.doctor.report import examine

    report = examine(data, progress=True)
    typer.echo(json.dumps(report.as_dict(), indent=2) if as_json else page(report))


@app.command(epilog="Example: affkit stats --data data_samples/corpus -o figures")
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

    from affkit.data.corpus import Corpus
    from affkit.data.summary import Statistics
    from affkit.files import existing_file

    if units is not None:
        existing_file(units)
    corpus = Corpus.open(data, progress=True)
    statistics = Statistics.of(corpus, progress=True)
    if out is not None:
        from affkit.show.corpus_figures import write_figures

        write_figures(corpus, statistics, out, units, force)
    typer.echo(json.dumps(statistics.as_dict(), indent=2) if as_json else statistics.text())


@app.command(epilog="Example: affkit agree coders/A1 coders/A2 coders/A3 -o agreed --disagreed absent")
def agree(
    folders: Annotated[list[Path], typer.Argument(help="Annotations, a folder for each annotator.")],
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
    numbers, corpus = splitting.parse_sizes(sizes), Corpus.open(data, progress=True)
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
