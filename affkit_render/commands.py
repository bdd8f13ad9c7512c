"""The command that draws people."""

from pathlib import Path

import typer

from affkit.commands import MOST_SEED, Force, Jobs, option, out_folder, room

app = room()


@app.command("render", epilog="Example: affkit render --subjects 4 --seconds 5 --seed 1 -o drawn")
def render(
    out: option(Path, "Folder of the new corpus.", "--out", "-o", callback=out_folder),
    scale: option(str, "The annotated corpus: kit, paper, or a fraction of the paper's such as 0.1.") = "",
    pool: option(int, "Instead of clips: unlabelled faces, one a person.", min=0) = 0,
    subjects: option(int, "How many people, one clip each.", min=1) = 4,
    seconds: option(float, "Length of a clip.", min=0.1, max=86_400) = 5.0,
    fps: option(float, "Frames a second.", min=1, max=120) = 30.0,
    width: option(int, "Of the picture, in pixels.", min=2) = 320,
    height: option(int, "Of the picture, in pixels.", min=2) = 240,
    seed: option(int | None, "Same seed, same result on the CPU.", "--seed", min=0, max=MOST_SEED) = None,
    force: Force = False,
    jobs: Jobs = 1,
):
    """Draw clips of faces whose labels are known exactly (needs affkit[render]).

    With --scale: the two parts of Section II, 70 clips with three coders and eight raters. Time and disk are
    said first, and a run that was stopped goes on with the same command.
    """
    if scale:
        from affkit_render.edition import KIT_SEED, estimate, make_corpus, plan_corpus, read_scale

        fraction, seed = read_scale(scale), KIT_SEED if seed is None else seed
        typer.echo(estimate(plan_corpus(fraction, seed)).text(jobs))
        videos = make_corpus(out, fraction, seed, jobs=jobs, force=force)
        typer.echo(f"{len(videos)} clips with labels, coders, raters and the truth in {out}")
    elif pool:
        from affkit_render.pool import draw_pool

        sheets = draw_pool(out, pool, seed=seed or 0, jobs=jobs)
        typer.echo(f"{pool} faces on {len(sheets)} sheets in {out}")
    else:
        from affkit_render.corpus import render_corpus

        size = (width, height)
        render_corpus(out, subjects, seconds, seed=seed or 0, size=size, fps=fps, force=force, jobs=jobs)
        typer.echo(f"{subjects} clips with their labels in {out}")
