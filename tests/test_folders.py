"""What commands write: folders and files complete or not there, tables without formulas."""

import ast
import pathlib

import numpy as np
import pandas as pd
import pytest

from clo_gen.io.csv_file import csv_text, read_csv, read_written, write_csv
from clo_gen.io.folders import choose_folder, new_file, new_folder, want_new_file
from clo_gen.io.problems import InputError


def test_an_out_that_cannot_be_made_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        choose_folder("x", tmp_path / "file" / "sub")


def test_a_new_folder_is_complete_or_not_there(tmp_path):
    out = tmp_path / "sub" / "out"
    with pytest.raises(KeyboardInterrupt), new_folder(out) as draft:
        (draft / "new").touch()
        raise KeyboardInterrupt
    assert not list((tmp_path / "sub").iterdir())
    out.mkdir()
    with new_folder(out) as draft:
        (draft / "new").touch()
        assert not list(out.iterdir())
    assert [p.name for p in out.iterdir()] == ["new"] and not draft.exists()


def test_a_new_file_is_complete_or_not_there(tmp_path):
    out = want_new_file(tmp_path / "out.csv", ".csv", ".json")
    with pytest.raises(KeyboardInterrupt), new_file(out) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    with new_file(out) as draft:
        draft.write_text("whole")
        assert not out.exists() and draft.suffix == ".csv"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"] and out.read_text() == "whole"
    with pytest.raises(InputError, match="out.csv: exists already"):
        want_new_file(out, ".csv")
    with pytest.raises(InputError, match="ending in .csv or .json"):
        want_new_file(tmp_path / "out.xlsx", ".csv", ".json")
    with pytest.raises(InputError, match="cannot be written"), new_file(out / "x.csv") as draft:
        draft.write_text("")


def test_what_a_table_says_is_read_back(tmp_path):
    """No cell of a written table is a formula; names such as NA and =1+1 come back as they were."""
    texts = ["NA", "=1+1", "'=1", "it's =1", "-2", "a,\"b\"", "@x"]
    frame = pd.DataFrame({"name": texts, "value": [0.5, np.nan, -1, 2, 3, 4, 5]})
    write_csv(frame, tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text(csv_text(frame.to_dict("records")))
    for name in ("a.csv", "b.csv"):
        assert "\n=" not in (tmp_path / name).read_text()
        assert list(read_csv(tmp_path / name)["name"]) == texts
        assert list(read_written(tmp_path / name)["name"]) == texts
    pd.testing.assert_frame_equal(read_written(tmp_path / "a.csv"), frame)


def test_two_commands_do_not_write_into_one_folder(tmp_path):
    out = tmp_path / "out"
    with new_folder(out) as draft:
        (draft / "first").touch()
        with pytest.raises(InputError, match="another command is writing there"), new_folder(out):
            pass
    with pytest.raises(InputError, match=r"results of this one are in .*out\.partial"):
        with new_folder(out) as draft:  # `out` was free when this command began
            (draft / "second").touch()
    assert [p.name for p in out.iterdir()] == ["first"]
    assert [p.name for p in draft.iterdir()] == ["second"]


def test_every_job_names_its_folder_with_a_text():
    """`choose_folder` takes a name; a folder named after a whole config would be nonsense."""
    jobs = pathlib.Path(choose_folder.__code__.co_filename).parent.parent
    calls = [node for path in jobs.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "choose_folder"]
    assert len(calls) >= 10
    for call in calls:
        name = call.args[0]
        assert (isinstance(name, ast.JoinedStr) or isinstance(name, ast.Constant)
                or isinstance(name, ast.Attribute) and name.attr == "name"), ast.unparse(call)
