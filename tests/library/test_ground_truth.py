"""The truth tables of a drawn corpus: rows are found by frame, and what is wrong is named."""

import pytest

from affkit.corpus.corpus import read_ground_truth, read_ground_truths
from affkit.errors import UserError


def write(root, text, name="a"):
    path = root / "truth" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_rows_are_found_by_frame(tmp_path):
    table = read_ground_truth(write(tmp_path, "frame,visible,x\n3,1,10.5\n1,0,\n"), ["x"])
    assert table["visible"].to_dict() == {3: 1, 1: 0}
    assert table["x"][3] == 10.5 and table["x"].isna()[1]
    assert read_ground_truth(write(tmp_path, "visible\n1\n0\n"))["visible"].to_dict() == {1: 1, 2: 0}


def test_all_tables_of_a_corpus_come_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a_left", "a"):
        write(tmp_path, "frame,visible\n1,1\n", name)
    assert list(read_ground_truths(tmp_path)) == ["a", "a_left", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,x\n1,2\n", "a.csv: has no column y"),
        ("frame,y,y\n1,2,3\n", "names a column twice"),
        ("frame,y\n1,2\n1,3\n", "has a frame twice"),
        ("frame,y\n1,2\n2,high\n", "line 3: y is 'high'"),
        ("frame,y\n", "no frame below it"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path, text, message):
    write(tmp_path, text)
    with pytest.raises(UserError, match=message):
        read_ground_truths(tmp_path, ["y"])


def test_a_corpus_without_truth(tmp_path):
    with pytest.raises(UserError, match="holds no truth tables"):
        read_ground_truths(tmp_path)
