import pathlib

import numpy as np
import pandas as pd
import pytest

from clo_gen.io import tables
from clo_gen.io.panel import read_panel, read_rating_events, transition_counts
from clo_gen.io.problems import InputError
from clo_gen.io.table import Column, need_values, read_judged
from clo_gen.states import DELINQUENCY, RATING

GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def panel():
    return read_rating_events(tables.data_path("rating_events_1999_2005.csv"), RATING)


def test_events_give_the_published_panel_row_for_row(panel):
    """Source: transitionMatrix 0.5.1, 78,509 obligor-months of the same 4,000 actions."""
    want = pd.read_parquet(GOLDEN / "obligor_month_panel.parquet")
    want = want.sort_values(["obligor_id", "month"]).reset_index(drop=True)
    got = panel.assign(obligor_id=panel["obligor_id"].astype(int), month=panel["month"].astype(str),
                       state=panel["state"].replace({"default": "D"}))
    got = got.sort_values(["obligor_id", "month"]).reset_index(drop=True)
    assert (got[want.columns].to_numpy() == want.to_numpy()).all()


def test_panel_gives_the_published_counts(panel):
    """Source: transitionMatrix 0.5.1, 1,070 rows; moves to NR are censored here."""
    want = pd.read_csv(GOLDEN / "cohort_transition_counts_monthly.csv")
    got = transition_counts(panel, RATING, "events")
    total = got.counts.sum(1)
    for row in want[want["nxt"] != "NR"].itertuples():
        t = got.months.get_loc(pd.Period(row.month, "M"))
        j = RATING.default if row.nxt == "D" else RATING.index(row.nxt)
        assert total[t, RATING.index(row.state), j] == row.n
    assert total.sum() == want.loc[want["nxt"] != "NR", "n"].sum()


def test_bad_events_are_refused(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("obligor_id,date,rating\n1,2001-01-05,B\n2,yesterday,QQ\n,2001-02-01,B\n")
    with pytest.raises(InputError) as error:
        read_rating_events(path, RATING)
    text = str(error.value)
    assert "row 3, date: 'yesterday'" in text and "row 3, rating: 'QQ'" in text
    assert "row 4, obligor_id: missing" in text


def write_panel(tmp_path, rows):
    path = tmp_path / "panel.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_loan_panel_states_follow_from_days_past_due(tmp_path):
    months = pd.period_range("2019-01", periods=6, freq="M").astype(str)
    days = [0, 35, 65, 95, 125, 130]
    path = write_panel(tmp_path, {"loan_id": "a", "reporting_month": months,
                                  "current_balance": 100.0, "days_past_due": days})
    panel = read_panel(path, DELINQUENCY)
    assert panel["state"].tolist() == ["performing", "dpd30", "dpd60", "dpd90", "default",
                                       "default"]
    counts = transition_counts(panel, DELINQUENCY, path, unit="loan_id").counts.sum((0, 1))
    assert counts[0, 1] == counts[1, 2] == counts[2, 3] == counts[3, 4] == counts[4, 4] == 1


def test_a_paid_off_loan_is_prepaid(tmp_path):
    path = write_panel(tmp_path, {"loan_id": "a", "reporting_month": ["2019-01", "2019-02"],
                                  "current_balance": [5.0, 0.0], "days_past_due": [0, 0]})
    assert read_panel(path, DELINQUENCY)["state"].tolist() == ["performing", "prepaid"]


def test_gaps_are_not_moves_and_forbidden_moves_are_named(tmp_path):
    path = write_panel(tmp_path, {"loan_id": "a", "reporting_month": ["2019-01", "2019-03"],
                                  "days_past_due": [0, 0]})
    panel = read_panel(path, DELINQUENCY)
    assert transition_counts(panel, DELINQUENCY, path, unit="loan_id").counts.sum() == 0
    jump = write_panel(tmp_path, {"loan_id": "a", "reporting_month": ["2019-01", "2019-02"],
                                  "days_past_due": [0, 95]})
    with pytest.raises(InputError, match="performing -> dpd90, which the state space"):
        transition_counts(read_panel(jump, DELINQUENCY), DELINQUENCY, jump, unit="loan_id")


def test_bad_panels_are_refused(tmp_path):
    path = write_panel(tmp_path, {"loan_id": ["a", "a"], "reporting_month": ["2019-01", "2019-01"],
                                  "loan_state": ["performing", "lost"]})
    with pytest.raises(InputError) as error:
        read_panel(path, DELINQUENCY)
    assert "each month of loan a once" in str(error.value)
    assert "loan_state: 'lost'; want one of performing" in str(error.value)
    with pytest.raises(InputError, match="loan_state or days_past_due"):
        read_panel(write_panel(tmp_path, {"loan_id": ["a"], "reporting_month": ["2019-01"]}),
                   DELINQUENCY)


def test_counts_keep_cohorts_apart(tmp_path):
    path = write_panel(tmp_path, {
        "loan_id": ["a", "a", "b", "b"], "reporting_month": ["2019-01", "2019-02"] * 2,
        "days_past_due": [0, 0, 0, 35], "cohort": ["x", "x", "y", "y"]})
    got = transition_counts(read_panel(path, DELINQUENCY), DELINQUENCY, path, unit="loan_id")
    assert got.cohorts == ("x", "y")
    np.testing.assert_array_equal(got.counts[0, :, 0, :2], [[1, 0], [0, 1]])


def test_tables_need_their_columns_and_cells(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,\n,2\n")
    columns = [Column("a", "number"), Column("b", "number"), Column("c")]
    with pytest.raises(InputError, match="1 problem\n  column c: missing; it is required"):
        read_judged(path, columns)
    table, problems = read_judged(path, columns, optional=["c"], filled=["a"])
    assert problems.found == ["row 3, a: missing"] and table["b"].tolist()[1] == 2.0
    need_values(table, ["a", "b"], problems)
    assert problems.found[1:] == ["a: 1 rows without a value", "b: 1 rows without a value"]
