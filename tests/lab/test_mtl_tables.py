"""What is read out of Tables X and XI, printed and trained: votes of seeds, chance, pairs of rows, bars."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from affkit.evaluation.intervals import Claim
from affkit_lab.experiments import table_x, table_xi
from affkit_lab.experiments.results import EXPRESSION_SCORES, VA_SCORES, Results, conclude, votes
from affkit_lab.figures.tables import table_x_bars, table_xi_bars

SCORES = VA_SCORES + EXPRESSION_SCORES


def made_up(rows, seeds=(0, 1, 2), claims=(), other_seeds="") -> Results:
    """Results of runs that never were."""
    runs = [{"row": row, "seed": seed, "set": "test"} for row, seed in product(rows, seeds)]
    values = np.random.default_rng(0).uniform(0, 0.6, (len(runs), len(SCORES)))
    scores = pd.DataFrame(runs).join(pd.DataFrame(values, columns=SCORES))
    scores.loc[scores["row"] == "only_va", list(EXPRESSION_SCORES)] = np.nan
    scores.loc[scores["row"] == other_seeds, "seed"] += 10
    nothing = pd.DataFrame({name: {"majority": 0.1, "draw": 0.2} for name in SCORES})
    return conclude({"steps": 9}, scores, nothing, claims)


def differences(results, better, worse, scores=VA_SCORES):
    """Of each seed, the mean difference of two rows."""
    own = results.test.set_index(["row", "seed"])[list(scores)].mean(axis=1)
    return (own[better] - own[worse]).tolist()


def test_votes_count_the_seeds_one_by_one():
    claims = [
        Claim("a beats b", "a", "b", VA_SCORES, 0.07),
        Claim("b beats a", "b", "a", ("ccc_valence",)),
        Claim("a beats c", "a", "c", VA_SCORES),  # which was trained with other seeds
        Claim("a beats d", "a", "d", VA_SCORES),  # which was not trained
    ]
    results = made_up(["a", "b", "c"], seeds=range(5), claims=claims, other_seeds="c")
    table = votes(results)
    both, one = differences(results, "a", "b"), differences(results, "b", "a", ["ccc_valence"])
    for place, own in enumerate((both, one)):
        assert table.at[place, "in favour"] == f"{sum(value > 0 for value in own)} of 5"
        assert float(table.at[place, "here"]) == pytest.approx(np.mean(own), abs=5e-4)
    assert table["paper"].tolist() == ["+0.070", "-", "-"]
    assert table.loc[2, ["in favour", "verdict"]].tolist() == ["0 of 0", "not decided"]
    assert table["verdict"].tolist() == [verdict["verdict"] for verdict in results.verdicts]


def test_three_rows_of_the_table_differ_by_one_factor():
    alpha, beta = zip(*(table_x.ROWS[row] for row in table_x.SAME_RUN), strict=True)
    assert alpha == beta and len(set(alpha)) == 3
    assert all(a != b for row, (a, b) in table_x.ROWS.items() if row not in table_x.SAME_RUN)


@pytest.mark.parametrize("rows", [table_x.ROWS, ["0.5_0.5", "1_1", "only_va"]])
def test_noise_is_the_spread_of_what_is_one_run(rows):
    results = made_up(rows)
    table = table_x.noise(results)
    trained = [row for row in table_x.SAME_RUN if row in rows]
    assert list(table.index) == ["CCC-V", "CCC-A", "accuracy", "F1 weighted", "F1 macro"]
    for name, score in zip(table.index, SCORES, strict=True):
        printed = [table_x.PAPER[row][score] for row in table_x.SAME_RUN]
        grid = results.test.pivot(index="row", columns="seed", values=score).loc[trained].to_numpy()
        wanted = {
            "paper, same run": np.std(printed, ddof=1),
            "here, same run": np.std(grid, axis=0, ddof=1).mean(),
            "here, other seeds": np.std(grid, axis=1, ddof=1).mean(),
        }
        assert table.loc[name].to_dict() == pytest.approx(wanted)


def test_the_ccc_loss_against_the_mse_in_all_six_pairs():
    results = made_up(table_xi.ROWS)
    table = table_xi.ccc_against_mse(results)
    assert (table["paper"] > 0).tolist() == [True, True, False, False, False, False]
    assert table["paper"].iloc[1] == pytest.approx((0.616 + 0.510 - 0.532 - 0.362) / 2)
    assert list(table_xi.ccc_against_mse()) == ["expression loss", "learning rate", "paper"]
    short = {"cross entropy": "ce", "MSE before softmax": "before", "MSE after softmax": "after"}
    for _, pair in table.iterrows():
        end = f"{short[pair['expression loss']]}_{pair['learning rate']}"
        own = differences(results, f"ccc_{end}", f"mse_{end}")
        assert pair["here"] == f"{np.mean(own):.3f} ± {np.std(own, ddof=1):.3f}"
    some = made_up(["ccc_ce_0.001", "mse_ce_0.001"])
    assert (table_xi.ccc_against_mse(some)["here"] == "-").tolist() == [True, False, True, True, True, True]


@pytest.mark.parametrize("table, draw", [(table_x, table_x_bars), (table_xi, table_xi_bars)])
def test_bars_are_means_dots_are_seeds_and_diamonds_the_paper(table, draw):
    rows = [row for row in table.ROWS if row not in ("only_expression", "mse_ce_0.0001")]
    results = made_up(rows)
    figure = draw(results, "a title")
    assert figure.get_suptitle() == "a title" and len(figure.axes[0].get_yticks()) == len(rows)
    for axis, score in zip(figure.axes, SCORES, strict=True):
        own = results.test.groupby("row", sort=False)[score].mean().dropna()
        assert [bar.get_width() for bar in axis.patches] == pytest.approx(own.tolist())
        marks = {kind: [line for line in axis.lines if line.get_marker() == kind] for kind in "oD"}
        dots = np.concatenate([line.get_xdata() for line in marks["o"]])
        assert sorted(dots) == pytest.approx(sorted(results.test[score].dropna()))
        printed = [table.PAPER[row][score] for row in rows if score in table.PAPER[row]]
        assert [line.get_xdata()[0] for line in marks["D"]] == printed
        low, high = axis.get_xlim()
        assert low < min(0, *dots) and max(*dots, *printed) < high


def test_one_row_without_a_score_has_a_panel_without_dots():
    results = made_up(["only_va"])
    results = replace(results, scores=results.scores.drop(columns=[*EXPRESSION_SCORES]))
    axis = table_x_bars(results).axes[2]
    assert not axis.patches and [line.get_marker() for line in axis.lines] == ["None"]
