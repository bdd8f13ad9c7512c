"""Commands with a screen: the annotation tool, the latent browser, the doctor."""

from pathlib import Path
from typing import Literal

import typer

from affkit.commands import Force, argument, option, out_file, room

app = room()

OpenBrowser = option(bool, "Open the page in the browser.", "--browser/--no-browser")
Port = option(int, "Of the page; 0 takes a free one.", min=0, max=65535)


@app.command("annotate", epilog="Example: affkit annotate clip.mp4 --annotator Ada --project faces.affkit")
def annotate(
    video: argument(Path, "A video file."),
    project: option(Path, "File that keeps the annotation; made when it is not there.") = Path(
        "annotation.affkit"
    ),
    annotator: option(str, "Who annotates.") = "me",
    task: option(Literal["au", "expression"], "8 action units, or 7 exclusive expressions.") = "au",
    browser: OpenBrowser = True,
    port: Port = 0,
):
    """Annotate a clip frame by frame in the browser (Section III.B); every change is saved at once."""
    from affkit_studio.standalone import serve

    serve(video, project, annotator, task, port, browser)


@app.command("doctor", epilog="Example: affkit doctor --data Aff-Wild2")
def doctor(
    data: option(Path, "Any folder of videos, annotations or crops.", "--data"),
    as_json: option(bool, "Print JSON, for programs.", "--json") = False,
    strict: option(bool, "Exit code 1 for warnings too.", "--strict") = False,
):
    """What a folder is, what is missing or wrong in it, and the next commands. Writes nothing.

    Lines are compared with frames and with crops, -5 and -1 are counted, people in two sets are named. The
    exit code is 1 if there are errors.
    """
    import json

    from affkit_studio.doctor.report import examine, page

    report = examine(data, progress=True)
    typer.echo(json.dumps(report.as_dict(), indent=2) if as_json else page(report))
    if any(report.with_severity(severity) for severity in ("error", "warning")[: 1 + strict]):
        raise typer.Exit(1)


Readers = option(list[Path] | None, "A network that reads faces; may be given again.", "--reader")
DirectionsFile = option(Path | None, "File of directions; learned and written when it is not there.")


@app.command(
    "browse", epilog="Example: affkit browse --checkpoint data_samples/weights/gan_2/generator.safetensors"
)
def browse(
    checkpoint: option(Path, "generator.safetensors of a GAN."),
    reader: Readers = None,
    directions: DirectionsFile = None,
    favourites: option(Path, "File of faces to come back to; films go beside it.") = Path("favourites.json"),
    data: option(Path | None, "Training faces: a store or a pool.", "--data") = None,
    features: option(Path | None, "features.safetensors, for likeness.") = None,
    labels: option(Path | None, "A corpus whose clips can be played.") = None,
    browser: OpenBrowser = True,
    port: Port = 0,
):
    """Browse generated faces in the browser: sliders, locks, the V-A plane, films, favourites, photographs.

    Networks beside the generator or one folder up are used without being named: discriminator.safetensors,
    cnn.safetensors, affwildnet.safetensors and features.safetensors.
    """
    from affkit_studio.standalone import serve_latent

    files = {"favourites": favourites, "data": data, "features": features, "labels": labels}
    serve_latent(checkpoint, reader or (), directions, port, browser, **files)


@app.command(
    "page",
    epilog="Example: affkit page --checkpoint data_samples/weights/gan_1/generator.safetensors -o page.html",
)
def page(
    checkpoint: option(Path, "generator.safetensors of a GAN."),
    out: option(Path, "The page, an HTML file.", "--out", "-o", callback=out_file),
    reader: Readers = None,
    directions: DirectionsFile = None,
    principal: option(
        bool, "Principal directions only: they need no network that reads.", "--principal"
    ) = False,
    title: option(str, "Heading of the page; Faces from 100 numbers by default.") = "",
    force: Force = False,
):
    """Write a page that draws faces in the browser by itself: one file, no server, nothing fetched.

    Networks beside the generator or one folder up are used without being named, as by `affkit browse`.
    """
    from affkit.files import refuse_existing
    from affkit_studio.browse.explore import Explorer
    from affkit_studio.browse.latent_browser import companions
    from affkit_studio.browse.live_page import TITLE, write_live_page

    refuse_existing(out, force)  # before the work, not after it
    found = None
    if not principal:
        predictors = reader or companions(checkpoint, "cnn", "affwildnet")
        found = Explorer.open(checkpoint, predictors, directions, progress=True).directions
    write_live_page(checkpoint, out, found, title or TITLE, force)
    typer.echo(f"{out}, {out.stat().st_size / 1e6:.1f} MB: open it in a browser")
