"""Executed notebooks as pages of HTML that need no network, and the index over them.

nbconvert's own pages fetch MathJax, require.js and widget code from other people's servers. Ours leave the
scripts out, write formulas as MathML, which browsers draw themselves, and put a line of text where a widget
would be.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import nbformat
from jinja2 import Environment
from jinja2.filters import pass_context
from latex2mathml.converter import convert as mathml
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from affkit.files import write_beside

WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = (
    "<p><em>Something to move with the mouse is here when the notebook is open in JupyterLab.</em></p>"
)
PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block data_png scoped -%}
  {{ super() | replace("<img ", output | get_metadata("alt", "image/png") | image_tag, 1) }}
{%- endblock -%}
{%- block data_jpg scoped -%}
  {{ super() | replace("<img ", output | get_metadata("alt", "image/jpeg") | image_tag, 1) }}
{%- endblock -%}
"""


@dataclass(frozen=True)
class Result:
    """What came of one notebook; ``error`` is empty when it ran to its end."""

    name: str
    seconds: float
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


def formula(latex: str, display: str = "inline") -> str:
    """LaTeX as MathML, or as its source where the converter does not know a command.

    >>> formula("x^2")[:6], formula("{")
    ('<math ', '<code>{</code>')
    """
    try:
        # HTML knows <math> without its namespace, and nbconvert writes headings with one as <ns0:math>.
        return mathml(latex, display=display).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    except Exception:  # its errors have no common class; the reader still gets the formula
        return f"<code>{escape(latex)}</code>"


class _Renderer(IPythonRenderer):
    """Markdown with formulas as MathML."""

    def inline_math(self, body: str) -> str:
        return formula(body)

    def block_math(self, body: str) -> str:
        return formula(body, display="block")


def image_tag(text: str | None) -> str:
    """The start of a picture's tag with the text for those who cannot see it, which nbconvert leaves out.

    >>> image_tag('the "mean" face'), image_tag(None)
    ('<img alt="the &quot;mean&quot; face" ', '<img ')
    """
    return f'<img alt="{escape(text)}" ' if text else "<img "


class OfflineExporter(HTMLExporter):
    """A page that holds all it needs."""

    def default_filters(self):
        yield from super().default_filters()
        yield "image_tag", image_tag

    @pass_context
    def markdown2html(self, context, source):
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(escape=False, attachments=attachments, anchor_link_text="")
        return MarkdownWithMath(renderer=renderer).render(source)


def write_page(notebook: Path) -> Path:
    """Write ``NAME.html`` beside an executed ``NAME.ipynb``, and its figures to ``figures/NAME-*``."""
    executed = nbformat.read(notebook, as_version=4)
    for name, picture in figures(executed, notebook.stem).items():
        with write_beside(notebook.parent / "figures" / name) as part:
            part.write_bytes(picture)
    exporter = OfflineExporter(raw_template=PAGE)
    exporter.log.setLevel("ERROR")
    html, _ = exporter.from_notebook_node(without_widgets(executed), {"metadata": {"name": notebook.stem}})
    page = notebook.with_suffix(".html")
    with write_beside(page) as part:
        part.write_text(html, encoding="utf-8")
    return page


def write_index(out: Path, results: Sequence[Result]) -> Path:
    """Write ``index.html`` in ``out``: every notebook with its goals, figures, seconds and result."""
    entries = []
    for result in results:
        notebook = nbformat.read(out / f"{result.name}.ipynb", as_version=4)
        title, goals = headline(notebook, result.name)
        addresses = [f"figures/{name}" for name in figures(notebook, result.name)]
        texts = [text or f"figure {n} of {title}" for n, (_, _, text) in enumerate(_pictures(notebook), 1)]
        pictures = list(zip(addresses, texts, strict=True))[:6]
        entries.append({"result": result, "title": title, "goals": goals, "pictures": pictures})
    page = (
        Environment(autoescape=True)
        .from_string(INDEX)
        .render(
            entries=entries,
            seconds=sum(result.seconds for result in results),
            failed=sum(not result.ok for result in results),
        )
    )
    with write_beside(out / "index.html") as part:
        part.write_text(page, encoding="utf-8")
    return out / "index.html"


def figures(notebook, name: str) -> dict[str, bytes]:
    """The PNG and JPEG pictures among the outputs of a notebook, in order, each with a file name."""
    return {
        f"{name}-{n}.{kind}": base64.b64decode(picture)
        for n, (kind, picture, _) in enumerate(_pictures(notebook), start=1)
    }


def _pictures(notebook) -> list[tuple[str, str, str]]:
    """Kind, base64 and text, empty if it has none, of each PNG and JPEG picture, in order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [
        (kind, picture, output.metadata.get(f"image/{kind}", {}).get("alt", ""))
        for output in outputs
        for kind in ("png", "jpeg")
        if (picture := output.get("data", {}).get(f"image/{kind}"))
    ]


def headline(notebook, name: str) -> tuple[str, list[str]]:
    """Title of a notebook, and what it says you will be able to do: the first list of its first cell."""
    source = notebook.cells[0].source if notebook.cells else ""
    title = re.search(r"^# +(.+)$", source, re.M)
    plain = [re.sub(r"[*`$]", "", text) for text in (title[1] if title else name, *first_list(source))]
    return plain[0], plain[1:]


def first_list(source: str) -> list[str]:
    """The items of the first list in a text, each in one line.

    >>> first_list("You can\\n\\n- count\\n  frames\\n- look\\n\\nand more\\n\\n- not this")
    ['count frames', 'look']
    """
    found = re.search(r"(?:^[-*] .+\n?(?:^ +\S.*\n?)*)+", source, re.M)
    items = re.split(r"^[-*] +", found[0], flags=re.M)[1:] if found else []
    return [" ".join(item.split()) for item in items]


def without_widgets(notebook):
    """The notebook with a note in place of each widget: a page has no kernel to answer it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if WIDGET in output.get("data", {}):
                output.data = nbformat.from_dict({"text/html": WIDGET_NOTE})
    return notebook


INDEX = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>affkit: the course</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fafafa;
         max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  a { color: #14588c; text-decoration: none }  a:hover { text-decoration: underline }
  section { background: white; border: 1px solid #ddd; border-radius: 8px; margin: 1rem 0;
            padding: 1rem 1.5rem }
  h2 { margin: 0; font-size: 1.25rem }  ul { margin: .5rem 0 .75rem; padding-left: 1.25rem }
  .result { float: right; color: #666 }  .failed { color: #b00020; font-weight: 600 }
  .pictures { display: flex; flex-wrap: wrap; gap: .75rem }
  .pictures img { height: 9rem; max-width: 100%; object-fit: contain; border: 1px solid #eee }
</style>
<h1>affkit: the course</h1>
<p>{{ entries | length }} {{ "notebook" if entries | length == 1 else "notebooks" }},
{{ "%.0f" | format(seconds) }} seconds,
{% if failed %}<span class="failed">{{ failed }} failed</span>{% else %}none failed{% endif %}.
These pages show one run; <code>make lab</code> opens the notebooks themselves.</p>
{% for entry in entries %}
<section>
  <span class="result">{{ "%.1f" | format(entry.result.seconds) }} s,
    {% if entry.result.ok %}ok{% else %}<span class="failed">failed</span>{% endif %}</span>
  <h2><a href="{{ entry.result.name }}.html">{{ entry.title }}</a></h2>
  {% if not entry.result.ok %}<p class="failed">{{ entry.result.error }}</p>{% endif %}
  <ul>{% for goal in entry.goals %}<li>{{ goal }}</li>{% endfor %}</ul>
  <div class="pictures">
  {% for picture, text in entry.pictures %}
    <a href="{{ entry.result.name }}.html"><img src="{{ picture }}" loading="lazy" alt="{{ text }}"></a>
  {% endfor %}
  </div>
</section>
{% endfor %}
</html>
"""
