"""Commands with a screen: the annotation tool, the latent browser, the doctor."""

from pathlib import Path
from typing import Annotated

import typer

from affkit.cli import Force, Task, out_file, room

app = room()

OpenBrowser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")]


@app.command("annotate", epilog="Example: affkit annotate clip.mp4 --annotator Ada --project faces.affkit")
def annotate(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    project: Annotated[
        Path, typer.Option(help="File that keeps the annotation; made when it is not there.")
    ] = Path("annotation.affkit"),
    annotator: Annotated[str, typer.Option(help="Who annotates.")] = "me",
    task: Annotated[Task, typer.Option(help="8 action units, or 7 exclusive expressions.")] = Task.AU,
    browser: OpenBrowser = True,
    port: Port = 0,
):
    """Annotate a clip frame by frame in the browser (Section III.B); every change is saved at once."""
    from affkit_studio.standalone import serve

    serve(video, project, annotator, task.value, port, browser)


@app.command("doctor", epilog="Example: affkit doctor --data Aff-Wild2")
def doctor(
    data: Annotated[Path, typer.Option("--data", help="Any folder of videos, annotations or crops.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
):
    """What a folder is, what is missing or wrong in it, and the next commands. Writes nothing.

    Lines are compared with frames and with crops, -5 and -1 are counted, people in two sets are named. The
    exit code is 0 whatever is found.
    """
    import json

    from affkit_studio.doctor.report import examine, page

    report = examine(data, progress=True)
    typer.echo(json.dumps(report.as_dict(), indent=2) if as_json else page(report))


Readers = Annotated[
    list[Path] | None, typer.Option("--reader", help="A network that reads faces; may be given again.")
]
DirectionsFile = Annotated[
    Path | None, typer.Option(help="File of directions; learned and written when it is not there.")
]


@app.command(
    "browse", epilog="Example: affkit browse --checkpoint data_samples/weights/gan_2/generator.safetensors"
)
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
