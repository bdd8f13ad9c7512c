"""Commands of the course: run it, make a site of it, check what students hand in."""

from pathlib import Path

import typer

from affkit.commands import Force, argument, option, out_file, out_folder, room
from affkit.errors import UserError

app = room()


@app.command("notebooks.run", epilog="Example: affkit notebooks run notebooks -o runs/course --only 00,04")
def notebooks_run(
    folder: argument(Path, "Folder of the notebooks.") = Path("notebooks"),
    out: option(Path, "Pages and index.html go here.", "--out", "-o", callback=out_folder) = Path(
        "runs/course"
    ),
    only: option(str, "Only some, by the start of their names: 00,04.") = "",
    profile: option(str, "small (a laptop) or full (a GPU).") = "small",
):
    """Execute the notebooks in order; exit code 1 when one of them failed."""
    from affkit_course.run import main as run

    raise typer.Exit(run(folder, out, only=[start for start in only.split(",") if start], profile=profile))


@app.command("notebooks.times", epilog="Example: affkit notebooks times runs/course notebooks")
def notebooks_times(
    run: argument(Path, "What affkit notebooks run wrote.") = Path("runs/course"),
    folder: argument(Path, "Folder of the notebooks.") = Path("notebooks"),
):
    """Write the measured times of a run into the first cells of the notebooks, and into times.json there."""
    from affkit_course.times import write_times

    for name, words in write_times(run, folder).items():
        typer.echo(f"{name}: {words}")


@app.command("notebooks.site", epilog="Example: affkit notebooks site notebooks -o runs/site")
def notebooks_site(
    folder: argument(Path, "Folder of the notebooks.") = Path("notebooks"),
    out: option(Path, "The folder to make.", "--out", "-o", callback=out_folder) = Path("runs/site"),
    run: option(Path | None, "Where they were executed; runs/course, if it is there.") = None,
    solutions: option(Path, "Folder of the solutions.") = Path("docs/solutions"),
    generator: option(Path, "Draws faces on the first page.") = Path(
        "data_samples/weights/gan_1/generator.safetensors"
    ),
    live: option(bool, "Whether it does.", "--live/--no-live") = True,
    force: Force = False,
):
    """Write the executed course as HTML pages that need no server and no network.

    Notebooks that were not run, or are not as they were then, show the outputs they come with. Exit code 1,
    and no site, when one failed.
    """
    from affkit_course.run import find_notebooks
    from affkit_course.site import check_site_folder, failures, find_executed, write_site

    if run is not None and not run.is_dir():
        raise UserError(run, "no such folder", "give what affkit notebooks run --out made")
    check_site_folder(out, force)
    notebooks = find_notebooks(folder)
    paths = find_executed(notebooks, run or Path("runs/course"))
    if failed := failures(paths):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        typer.echo(f"affkit: {len(failed)} of {len(paths)} notebooks failed, no site: {reasons}", err=True)
        raise typer.Exit(1)
    first = write_site(paths, out, solutions, generator if live else None, force)
    stored = sum(path == notebook for path, notebook in zip(paths, notebooks, strict=True))
    typer.echo(f"{len(paths) - stored} notebooks as they ran here, {stored} with the outputs they come with")
    typer.echo(f"Look at it: {first}")


@app.command("notebooks.grade", epilog="Example: affkit notebooks grade submissions -o grades.csv --jobs 2")
def notebooks_grade(
    folder: argument(Path, "Notebooks, or a folder for each student.", metavar="DIR"),
    out: option(Path, "The table, CSV.", "--out", "-o", callback=out_file),
    seconds: option(float, "Time for each exercise.", min=1) = 10,
    memory: option(float, "Memory for each exercise, GB; on Linux.", min=0.5) = 4,
    jobs: option(int, "Exercises at the same time.", "--jobs", "-j", min=1) = 1,
    as_json: option(bool, "Print the table as JSON, for programs.", "--json") = False,
    force: Force = False,
):
    """Check the exercises of submitted notebooks: who, which, right or not, and what the check said.

    Each exercise runs alone, in a process with limits. Code that means harm needs a container around this.
    """
    import json
    from dataclasses import asdict

    from affkit.files import refuse_existing
    from affkit_course.exercises.grade import Limits, as_text, grade_folder, write_grades

    refuse_existing(out, force)
    rows = grade_folder(folder, Limits(seconds, int(memory * 2**30)), jobs)
    write_grades(out, rows)
    typer.echo(
        json.dumps([asdict(row) for row in rows], indent=2) if as_json else f"{as_text(rows)}\nin {out}"
    )
