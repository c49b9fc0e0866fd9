"""The public names: DataFrames in and out, runs opened again, names that type checkers know."""

import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest

import clo_gen as cg
from clo_gen.io.tables import config_path

DEAL = config_path("deals/static_amortising.toml")


def test_a_tape_is_the_same_from_a_frame_and_from_its_file(tmp_path):
    frame = pd.DataFrame({
        "loan_id": ["L1", "L2"], "current_balance": [3e6, 1e6], "rate_type": ["float", "fixed"],
        "spread_bps": [350.0, np.nan], "interest_rate": [np.nan, 0.08], "cov_lite": [True, False],
        "maturity_date": pd.to_datetime(["2030-06-30", "2031-03-31"]), "rating": ["B", "B-"]})
    frame.to_csv(tmp_path / "tape.csv", index=False)
    given = cg.read_tape(frame, cutoff="2025-10-15")
    read = cg.read_tape(tmp_path / "tape.csv", cutoff="2025-10-15")
    jax.tree.map(np.testing.assert_array_equal, given.tape, read.tape)
    with pytest.raises(cg.InputError, match=r"given tape.*\n.*row 3 \(L2\), rating: 'X'"):
        cg.read_tape(frame.assign(rating=["B", "X"]), cutoff="2025-10-15")
    with pytest.raises(cg.InputError, match="cutoff: 'soon'; want a date such as 2025-10-15"):
        cg.read_tape(frame, cutoff="soon")


def test_collections_are_paid_alike_from_a_frame_and_from_their_file(tmp_path):
    dates = cg.read_deal(DEAL).payment_dates[:2]
    cash = pd.DataFrame({
        "pay_date": pd.to_datetime(dates), "interest": 1.6e6, "scheduled_principal": 0.0,
        "prepayment": [10e6, 8e6], "default": 0.0, "recovery": 0.0, "loss": 0.0,
        "end_performing": [240e6, 232e6], "index": 0.04})
    cash.to_csv(tmp_path / "cash.csv", index=False)
    given, read = cg.distribute(DEAL, cash), cg.distribute(DEAL, tmp_path / "cash.csv")
    pd.testing.assert_frame_equal(given.payments, read.payments)
    assert given.classes.loc["A", "principal_unpaid"] == pytest.approx(167e6 / 250e6)
    with pytest.raises(cg.InputError, match="given collections"):
        cg.distribute(DEAL, cash.drop(columns="interest"))


def test_unknown_names_are_named(small):
    a = small()
    with pytest.raises(cg.InputError, match="scenario: 'boom'; want one of baseline"):
        cg.simulate_scenario(a, "boom")
    with pytest.raises(cg.InputError, match="no run; want a folder written by clo-gen run"):
        cg.read_run("configs")
    with pytest.raises(AttributeError, match="no_such_name"):
        cg.no_such_name  # noqa: B018


def test_import_is_cheap():
    code = ("import sys, clo_gen; "
            "assert not {'jax', 'pandas', 'flax', 'matplotlib'} & set(sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow
def test_a_run_from_python(tmp_path):
    done = cg.run("configs/smoke.toml", overrides=["paths=4"], out=tmp_path / "run")
    again = cg.read_run(tmp_path / "run")
    pd.testing.assert_frame_equal(done.classes, again.classes)
    paths = again.paths("baseline")
    assert paths["loss", "pool"].mean() == pytest.approx(
        again.pool.loc["baseline", "expected_loss"], rel=1e-12)
    assert paths["price"].mean().to_numpy() == pytest.approx(
        again.classes.loc["baseline", "price"].to_numpy(), rel=1e-12)
    with pytest.raises(cg.InputError, match="scenario: 'boom'"):
        again.paths("boom")
