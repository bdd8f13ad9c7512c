"""What students of such courses and users of affect corpora complain about most, and why nobody has to here.

Each test is named after a complaint and fails where it would be true. Others are looked at where they belong:
broken dependencies in test_environment.py; missing and wrong solutions in test_exercises.py; notebooks
that are too long, are stored from several runs, or break when cells are run twice in test_notebooks.py; -1
taken for -5 in test_formats.py; folders of all years in test_corpus.py; labels shifted by the conversion to
30 frames a second in test_convert.py; crops that are shifted or missing in test_doctor.py.
"""

import ast
import re

import nbformat
import numpy as np
import pytest
from cell_names import changed_later, names_of
from notebook_checks import tags
from repository import NOTEBOOKS, ROOT, cells_of, tracked
from squares import SquareDetector
from videos import write_labels
from year_folders import make_year

from affkit.checkpoints import load_checkpoint
from affkit.faces.extract import extract_faces
from affkit.video.video import write_video
from affkit_course.exercises.build import notebook_path
from affkit_course.exercises.framework import numbers
from affkit_studio.doctor.report import examine, page

pytestmark = pytest.mark.slow  # runs whole commands

SOLUTIONS = ROOT / "docs" / "solutions"
SAMPLES = ROOT / "data_samples"
PAPER = "https://arxiv.org/abs/1811.07771"
PROSE = [path for path in tracked() if path.suffix == ".md"]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_number = pytest.mark.parametrize("number", numbers())


def prose(path) -> str:
    return path.read_text("utf-8") if path.suffix == ".md" else "\n\n".join(cells_of(path, "markdown"))


def notebook_of(number: str):
    return notebook_path(ROOT / "notebooks", number)


# ---- Students ----


@each_number
def test_1_solutions_with_names_that_nobody_defined(number):
    """Code that goes on from the notebook uses names that the notebook or the words around it have."""
    text = (SOLUTIONS / f"{number}.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    known = {"np", "display"}.union(*(names_of(cell).writes for cell in cells_of(notebook_of(number))))
    known |= set(re.findall(r"`(\w+)`", text))
    known = known.union(*(names_of(block).writes for block in blocks if block.startswith("def ")))
    unknown = {block: names_of(block).reads - known for block in blocks}
    assert {block: names for block, names in unknown.items() if names} == {}


@each_notebook
def test_2_a_gpu_needed_and_not_announced(path):
    head = cells_of(path, "markdown")[0]
    assert re.search(r"\bminutes?\b", head) and "GPU" in head
    needs = re.search(r"\*\*Needs\*\*(.*?)(?=\n\n|\Z)", head, re.S)[1]
    assert re.search(r"\bno GPU\b", needs, re.I), "the notebooks of this course need none"
    assert 'PROFILE = "gpu"' not in "\n".join(cells_of(path)), "as stored it runs on a CPU"


def test_3_face_data_links_that_die():
    """No address of data is anywhere, and what the datasheet promises lies beside it, of the size it says."""
    for path in [*PROSE, *NOTEBOOKS]:
        addresses = re.findall(r"https?://[^\s)>\"'`\\]+", path.read_text(encoding="utf-8"))
        assert set(addresses) <= {PAPER}, path
    rows = re.findall(r"^\| `([^`]+)` \|.*\| ([\d.]+) MB \|$", (SAMPLES / "DATASHEET.md").read_text(), re.M)
    assert len(rows) >= 6
    for name, megabytes in rows:
        files = [path for path in tracked() if (SAMPLES / name) in (path, *path.parents)]
        size = sum(path.stat().st_size for path in files) / 1e6
        assert files and size == pytest.approx(float(megabytes), abs=0.15), name


@each_notebook
def test_5_set_up_and_path_cells_that_fail(path):
    (first, *_) = (c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code")
    assert "parameters" in tags(first)
    values = ast.parse(first.source).body  # nothing is called, so nothing can fail
    assert all(isinstance(line, ast.Assign) and not re.search(r"\w\(", ast.unparse(line)) for line in values)
    code = "\n".join(cells_of(path))
    words = r"\bpip install\b|\bchdir\(|\bsys\.path\b|\benviron\b|google\.colab"
    found = re.findall(rf"^\s*[!%].*|.*(?:{words}).*", code, re.M)
    tree = ast.parse(code)
    later = {id(part) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in n.values[1:]}
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in later)
    found += [text for text in texts if re.match(r"/\w|~/|[A-Z]:\\", str(text))]
    assert found == []


def test_6_answers_in_inconsistent_places():
    assert sorted(path.name for path in SOLUTIONS.iterdir()) == [f"{number}.md" for number in numbers()]
    named = [path for path in tracked() if re.search("solution|answer", path.name, re.I)]
    assert all(path.is_relative_to(ROOT / "tests") for path in named)  # and the folder of solutions
    for number in numbers():
        linked = re.findall(r"docs/solutions/\S+\.md", prose(notebook_of(number)))
        assert set(linked) == {f"docs/solutions/{number}.md"}


def test_7_parts_that_go_unchecked():
    """No cell is passed over, no test is left out by name, and one that is skipped lacks something here."""
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        assert not any(HIDING & set(tags(cell)) for cell in notebook.cells)
    texts = [(ROOT / name).read_text() for name in ("pyproject.toml", "Makefile", ".ci/run")]
    settings = re.sub(r"(?m)^quick:.*\n.*", "", "\n".join(texts))
    assert re.findall(r"--deselect|--ignore|-k \w|-m [\"'](?!pip|venv|pytest)\w", settings) == []
    skips = [line for path in (ROOT / "tests").rglob("test_*.py") for line in skips_in(path.read_text())]
    assert skips and [line for line in skips if not LACKING.search(line)] == []


HIDING = {"skip-execution", "raises-exception"}  # others are in test_notebooks.py
LACKING = re.compile(
    r"find_spec|is_file\(\)|exists\(\)|os\.name|geteuid|importorskip\('(embreex|scipy|torch|anny)'\)"
    r"|no Chromium|may not mount|skip\(reason\)|skip\(message\)"
)


def skips_in(source: str) -> list[str]:
    """Calls and decorators that leave out a test."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call | ast.Attribute))
    names = r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b|unittest\.skip"
    return [text for node in calls if re.match(names, text := ast.unparse(node)) and "(" in text]


def test_7_a_test_left_out_for_time_would_be_seen():
    (line,) = skips_in("@pytest.mark.skip(reason='takes too long')\ndef test(): pass")
    assert not LACKING.search(line)
    assert len(skips_in("def test():\n    pytest.skip('slow')\n    pytest.xfail('some day')")) == 2


@each_notebook
def test_9_out_of_order_state(path):
    """No cell changes what an earlier one reads: a reader can go back to any cell."""
    assert changed_later(cells_of(path)) == []


def test_10_dead_launch_buttons():
    """No button that needs somebody's server, and every link leads to a file here, or to the paper."""
    for path in [*PROSE, *NOTEBOOKS]:
        text = prose(path)
        buttons = r"mybinder|colab|kaggle|deepnote|gitpod|codespaces|shields\.io|badge"
        assert not re.search(buttons, text, re.I), path
        text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)
        links = re.findall(r"\]\(([^)\s]+)", text) + re.findall(r"(?:src|href)=[\"']([^\"']+)", text)
        for link in (link for link in links if link != PAPER):
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.exists() and target.is_relative_to(ROOT), f"{path}: {link}"
            assert not anchor or anchor in anchors(target), f"{path}: {link}"


def anchors(path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(path), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ---- Users of affect corpora ----

STEP, DARKEST = 3, 110  # of the greys that stand for a face


def test_labels_shifted_by_one_frame_against_crops(tmp_path):
    """The face on frame i is as grey as its label says."""
    frames = np.zeros((40, 96, 120, 3), np.uint8)
    frames[:, 18:78, 30:90] = (DARKEST + STEP * np.arange(40))[:, None, None, None]
    write_video(tmp_path / "clip.mp4", frames)
    write_labels(tmp_path / "labels" / "VA_Set" / "Train_Set" / "clip.txt", 40)
    how = {"labels": tmp_path / "labels", "progress": False}
    store = extract_faces([tmp_path / "clip.mp4"], tmp_path / "store", 16, SquareDetector(), **how)
    seen = (store.images[:, 5:11, 5:11].mean(axis=(1, 2, 3)) - DARKEST) / STEP
    assert store.index["frame"].tolist() == list(range(1, 41)) and store.labels.has_va.all()
    np.testing.assert_array_equal(seen.round(), np.arange(40))
    np.testing.assert_allclose(store.labels.valence * 1000, np.arange(40), atol=1e-3)


def test_test_sets_without_labels(tmp_path):
    """They are told; that they are read as what they are is in test_corpus.py."""
    make_year(tmp_path, "ABAW5")
    folder = tmp_path / "5th ABAW Annotations" / "VA_Estimation_Challenge"
    (folder / "VA_test_set_release.txt").write_text("delta\nepsilon_left\n")
    assert "VA: 2 videos" in page(examine(tmp_path))


def test_weights_behind_dead_links():
    """What the model card names is here, opens, and is all there is; nothing fetches any (test_safety.py)."""
    weights = SAMPLES / "weights"
    shipped = {path.relative_to(weights).as_posix() for path in weights.rglob("*.safetensors")}
    shipped = {name for name in shipped if not name.endswith("directions.safetensors")}  # no network
    card = (weights / "README.md").read_text(encoding="utf-8")
    assert shipped == set(re.findall(r"^\| `([\w/]+\.safetensors)` \|", card, re.M))
    for name in shipped:
        network, _ = load_checkpoint(weights / name)
        assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
    texts = [path.read_text(encoding="utf-8") for path in [*PROSE, *NOTEBOOKS]]
    named = {name for text in texts for name in re.findall(r"data_samples/weights/[\w./]*\w", text)}
    assert len(named) > 3 and [name for name in named if not (ROOT / name).exists()] == []
