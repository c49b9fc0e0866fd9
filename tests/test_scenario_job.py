"""`clo-gen scenario`: sets of macro paths, and runs on them."""

import json

import numpy as np
import pytest

from clo_gen.assembly import assemble
from clo_gen.io.config import read_config
from clo_gen.io.given_paths import read_paths, write_paths
from clo_gen.io.problems import InputError
from clo_gen.jobs.scenario import Request, parsed, plot_job, scenario_job

SERIES = ("gdp_growth_yoy", "unemployment_rate", "inflation_yoy", "policy_rate", "treasury_10y",
          "credit_spread_cp")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    out = tmp_path_factory.mktemp("scenario") / "replay"
    return scenario_job(*read_config(), Request("replay", paths=3, start="2007-12", held=36), out)


def test_a_replay_repeats_the_changes_of_history_then_the_model_goes_on(replayed):
    report, out = replayed
    (values,) = report.sets.values()
    a = assemble(*read_config())
    real = a.macro.frame.loc["2007-11":"2010-11", list(SERIES)].to_numpy()
    want = np.maximum(report.past[-1] + real[1:] - real[0], np.asarray(
        a.scenarios["baseline"].lower))
    np.testing.assert_allclose(values[:, :36], np.broadcast_to(want, (3, 36, 6)), atol=1e-12)
    assert np.ptp(values[:, 36:], axis=0).max() > 1e-3
    assert json.loads((out / "summary.json").read_text())["held"] == 36
    assert (out / "fan.png").stat().st_size > 10_000


def test_a_run_draws_from_the_paths_of_the_file(replayed):
    report, out = replayed
    config, folder = read_config(overrides=[
        "macro.generator=paths", f"macro.paths={out / 'paths.csv'}", 'scenarios=["adverse"]'])
    a = assemble(config, folder)
    (values,) = report.sets.values()
    np.testing.assert_allclose(np.asarray(a.params.macro.values), values, atol=1e-12)
    assert a.provenance["macro"]["kind"] == "user"
    assert "3 given paths" in a.provenance["macro"]["notes"][0]


def test_given_paths_want_one_scenario_and_their_file():
    with pytest.raises(InputError, match=r"macro\.paths: missing(.|\n)*one name"):
        read_config(overrides=["macro.generator=paths"])
    with pytest.raises(InputError, match="only generator"):
        read_config(overrides=["macro.paths=x.csv"])


def test_wrong_files_of_paths_are_refused(tmp_path):
    file = tmp_path / "p.csv"
    values = np.full((2, 3, 1), 0.02)
    write_paths(file, ("gdp",), {"a": values, "b": values + 0.01})
    assert read_paths(file, ("gdp",), "b", 3)[0, 0, 0] == 0.03
    for series, scenario, months, message in (
            (("gdp",), "c", 3, "rows of 'c'"), (("gdp",), "a", 4, "each month from 1 to 4"),
            (("cpi",), "a", 3, "column cpi: missing")):
        with pytest.raises(InputError, match=message):
            read_paths(file, series, scenario, months)
    file.write_text(file.read_text().replace("0.02", "2.6", 1))
    with pytest.raises(InputError, match="row 2, gdp"):
        read_paths(file, ("gdp",), "a", 3)


def test_texts_are_conditions_and_weights():
    at = ("gdp@12=-0.04", "gdp@24=..0.02", "u@6=0.05..0.06")
    assert parsed(Request("condition", at=at)) == {
        "gdp": [{"month": 12, "value": -0.04}, {"month": 24, "high": 0.02}],
        "u": [{"month": 6, "low": 0.05, "high": 0.06}]}
    assert parsed(Request("blend", at=("a@1=1", "a@9=.5"))) == {"a": [(1, 1.0), (9, 0.5)]}
    for kind, wrong in (("condition", ("gdp", "gdp@x=1", "gdp@1=..", "gdp@1=a")),
                        ("blend", ("a@1=0..1", "a=1"))):
        with pytest.raises(InputError) as caught:
            parsed(Request(kind, at=wrong))
        assert str(caught.value).count("want") == len(wrong)
        with pytest.raises(InputError, match="missing"):
            parsed(Request(kind))


@pytest.mark.slow
def test_paths_meet_conditions_and_blends_lie_between(tmp_path):
    config = read_config()
    free, _ = scenario_job(*config, Request("generate", ("baseline", "adverse"), 64, 24),
                           tmp_path / "free")
    met, _ = scenario_job(*config, Request("condition", paths=16, months=24, at=(
        "unemployment_rate@12=0.06..0.07",)), tmp_path / "met")
    u = met.sets["baseline"][:, 11, 1]
    assert (u >= 0.06 - 1e-5).all() and (u <= 0.07 + 1e-5).all() and np.ptp(u) > 1e-3
    blend, _ = scenario_job(*config, Request("blend", paths=64, months=24, at=(
        "baseline@1=0.5", "adverse@1=0.5")), tmp_path / "blend")
    middle = (free.sets["baseline"] + free.sets["adverse"]).mean(0)[:, 1] / 2
    np.testing.assert_allclose(blend.sets["blend"].mean(0)[:, 1], middle, atol=1e-9)
    names = plot_job([tmp_path / "free", tmp_path / "met"], tmp_path / "fans.png")
    assert names == ["free baseline", "free adverse", "met"]
    with pytest.raises(InputError, match="a new file"):
        plot_job([tmp_path / "free"], tmp_path / "fans.png")
