"""Several runs in one table: the numbers of their summaries, and folders that are no runs."""

import json

import pandas as pd
import pytest
from matplotlib.figure import Figure

from clo_gen.io.problems import InputError
from clo_gen.jobs.compare import compare_job, read_summaries
from clo_gen.plots.names import literal
from clo_gen.plots.structuring import against_limits
from clo_gen.terminal import compare as texts


def summary(el, scenarios=("baseline",)):
    portfolio = {"expected_loss": el, "std_error": 0.001, "var_99": 2 * el, "cvar_99": 3 * el,
                 "var_99_std_error": 0.0, "cvar_99_std_error": 0.0}
    note = {"loss_probability": 10 * el, "loss_probability_std_error": 0.01, "irr": None,
            "expected_loss": el / 2, "expected_loss_std_error": 0.002, "price": 0.9}
    return {"scenarios": {s: {"portfolio": portfolio, "tranches": {"A": note, "E": dict(note)}}
                          for s in scenarios},
            "deal": {"name": "d"}, "paths": 100, "seed": 1, "mode": "markov",
            "pool": {"loans": 7}, "data": {"tape": {"kind": "synthetic"}, "deal": {"kind": "real"}}}


def folder_of(path, content):
    path.mkdir(parents=True)
    (path / "summary.json").write_text(json.dumps(content))
    return path


def test_numbers_are_those_of_the_summaries(tmp_path):
    one = folder_of(tmp_path / "one", summary(0.01))
    two = folder_of(tmp_path / "two", summary(0.02, ("baseline", "adverse")))
    found, out = compare_job([one, two], tmp_path / "out")
    table = pd.read_csv(out / "compare.csv")
    value = table.set_index(["run", "scenario", "of", "quantity"])["value"]
    assert value["one", "baseline", "pool", "expected_loss"] == 0.01
    assert value["two", "adverse", "E", "loss_probability"] == 0.2
    assert pd.isna(value["one", "baseline", "E", "irr"])
    assert (out / "compare.png").stat().st_size > 10_000
    assert pd.read_csv(out / "runs.csv")["synthetic"].tolist() == ["tape", "tape"]
    assert [t.title for t in texts.tables(found)] == ["baseline", "adverse"]
    adverse = texts.tables(found)[1]
    assert list(adverse.columns[1].cells)[0] == "-" and list(adverse.columns[2].cells)[0] == "2.00%"


def test_folders_that_are_no_runs_are_all_named(tmp_path):
    good = folder_of(tmp_path / "good", summary(0.01))
    other = folder_of(tmp_path / "other", {"no": "scenarios"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as error:
        read_summaries([good, other, tmp_path / "empty", tmp_path / "nowhere"])
    assert all(name in str(error.value) for name in ("other", "empty", "nowhere"))
    assert "good: no run" not in str(error.value)
    with pytest.raises(InputError, match="at least two"):
        read_summaries([good])
    with pytest.raises(InputError, match="twice"):
        read_summaries([good, good])


def test_a_summary_of_another_shape_is_named_with_what_it_lacks(tmp_path):
    good = folder_of(tmp_path / "good", summary(0.01))
    other = summary(0.01)
    del other["paths"], other["scenarios"]["baseline"]["tranches"]["E"]["price"]
    other["scenarios"]["baseline"]["portfolio"]["var_99"] = "much"
    folder_of(tmp_path / "other", other)
    shapes = {"list": [1], "text": "x", "none": None,
              "flat": {"scenarios": 3, "deal": 1, "pool": 2},
              "empty": summary(0.01, ()), "bare": summary(0.01) | {"data": {"tape": "real"}},
              "halves": summary(0.01) | {"scenarios": {"baseline": {"tranches": {"A": 1}}}}}
    for name, shape in shapes.items():
        folder_of(tmp_path / name, shape)
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "summary.json").write_bytes(b"\xff\x00{")
    with pytest.raises(InputError) as error:
        read_summaries([good, *(tmp_path / name for name in ("other", "binary", *shapes))])
    said = str(error.value)
    assert ("other/summary.json: lacks paths, scenarios.baseline.portfolio.var_99, "
            "scenarios.baseline.tranches.E.price; want") in said
    assert all(f"/{name}: no run" in said for name in ("binary", "list", "text", "none"))
    assert all(f"/{name}/summary.json: lacks" in said for name in ("flat", "empty", "halves"))
    assert "good" not in said and "bare/summary.json: lacks data.tape.kind;" in said


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    one = folder_of(tmp_path / "a" / "run", summary(0.01))
    two = folder_of(tmp_path / "b" / "run", summary(0.02))
    assert list(read_summaries([one, two])) == [str(one), str(two)]


def experiment(path, figures, small=False):
    content = {"experiment": path.name, "question": "Is it?", "small": small, "seconds": 1.0,
               "command": f"python experiments/{path.name}.py", "figures": figures}
    return folder_of(path, content)


def test_experiments_are_collected_with_what_was_expected(tmp_path):
    one = experiment(tmp_path / "one", [
        {"figure": "ratio", "value": 4.0, "low": 3.0, "high": None, "holds": True},
        {"figure": "seconds", "value": 2.0, "low": None, "high": None, "holds": None}])
    two = experiment(tmp_path / "two", [
        {"figure": "miss", "value": 0.4, "low": None, "high": 0.3, "holds": False},
        {"figure": "share", "value": None, "low": 0.0, "high": 1.0, "holds": False}])
    found, out = compare_job([one, two], tmp_path / "out")
    table = pd.read_csv(out / "compare.csv").set_index(["run", "figure"])
    assert table.value["one", "ratio"] == 4.0 and table.low["one", "ratio"] == 3.0
    assert (out / "compare.png").stat().st_size > 5_000
    shown = texts.tables(found)[0]
    cells = [list(column.cells) for column in shown.columns]
    assert cells[2] == ["4", "2", "0.4", "-"]
    assert cells[3] == ["at least 3", "", "at most 0.3", "0 to 1"]
    assert cells[4] == ["held", "", "MISSED", "MISSED"]
    assert texts.notes(found, out)[0].startswith("one: Is it?")
    with pytest.raises(InputError, match="at least two"):
        compare_job([one], tmp_path / "more")


def test_a_small_experiment_is_not_judged(tmp_path):
    figure = {"figure": "miss", "value": 0.4, "low": None, "high": 0.3, "holds": False}
    folders = [experiment(tmp_path / name, [figure], small=True) for name in ("one", "two")]
    found, _ = compare_job(folders, tmp_path / "out")
    assert list(texts.tables(found)[0].columns[4].cells) == ["small run", "small run"]


def test_logarithmic_axes_have_numbers_where_names_are_text():
    @literal
    def labels():
        figure = Figure()
        ax = figure.subplots()
        ax.plot([1, 2], [0.5, 100])
        against_limits(ax, ["A$B", "C"], [0.1, 0.0], [0.01, 0.0], [0.2, 3.0], 500)
        figure.canvas.draw()
        return [text.get_text() for text in ax.get_yticklabels()]

    assert "0.1" in labels() and not any("$" in text for text in labels())


def test_an_experiment_is_no_run(tmp_path):
    run = folder_of(tmp_path / "run", summary(0.01))
    other = experiment(tmp_path / "other", [])
    with pytest.raises(InputError, match="other: no run"):
        compare_job([run, other])
