"""Files that are too large, too deep, not text or hostile; names that become files; CSV cells."""

import os
import pathlib
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest

from clo_gen.io import limits
from clo_gen.io.checkpoint import load_record
from clo_gen.io.config import read_config, set_value
from clo_gen.io.csv_file import csv_text, read_csv, text_cell, write_csv
from clo_gen.io.files import checked, is_file_name
from clo_gen.io.folders import choose_folder
from clo_gen.io.json_data import read_json
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.table import Column, judge, read_table
from clo_gen.io.toml import load_toml
from clo_gen.jobs.blocks import Blocks


def refused(read, path, message, content=None):
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert len(str(error.value)) < 5_000


@pytest.mark.parametrize("content,message", [
    ("a = " + "[" * 5_000, "nested too deeply; want at most 32 levels"),
    ("a = " + "[" * 40 + "]" * 40, "nested too deeply"),
    ("a = {" + "b = {" * 50 + "}" * 51, "nested too deeply|not valid TOML"),
    ("a." * 100 + "b = 1", "nested too deeply"),
    ("a." * 50 + "b = 1", "nested too deeply"),
    ("a = " + "9" * 5_000, "not valid TOML"),
    ("a = 1\na = 2", "not valid TOML: .*overwrite"),
    ("a = 1979-02-30", "not valid TOML"),
    (b"a = 1\0", "a NUL byte at byte 5"),
    (b"a = \"\xe9\"", "not UTF-8 text .* at byte 5"),
    ("a = 1\n".encode("utf-16"), "a NUL byte|not UTF-8"),
    (b"x" * (limits.CONFIG_BYTES + 1), "1 MB; want at most 1 MB"),
])
def test_toml_files(tmp_path, content, message):
    refused(load_toml, tmp_path / "a.toml", message, content)


def test_long_texts_and_comments_are_no_deep_keys(tmp_path):
    (tmp_path / "a.toml").write_text("# " + "." * 200 + "\na = [" + "0.1, " * 500 + "]\n")
    assert load_toml(tmp_path / "a.toml") == {"a": [0.1] * 500}


@pytest.mark.parametrize("content,message", [
    ('{"a": 1, "a": 2}', "the key 'a' appears twice"),
    ('{"a": NaN}', "NaN is no JSON number"),
    ('{"a": -Infinity}', "-Infinity is no JSON number"),
    ('{"a": 1e400}', "the number 1e400 is too large"),
    ('{"a": ' + "9" * 5_000 + "}", "the number 9{40}... is too large"),
    ("[" * 100_000, "nested too deeply"),
    ("[" * 40 + "]" * 40, "nested too deeply"),
    ('{"a": "\\ud800"}', "half a character"),
    ('{"a": 1,}', "not valid JSON"),
    (b"\x80\x04\x95\x00", "a control character b'.x04' at byte 1"),
])
def test_json_files(tmp_path, content, message):
    refused(read_json, tmp_path / "a.json", message, content)


def test_whole_json_is_read(tmp_path):
    (tmp_path / "a.json").write_text('\ufeff{"a": [1, 2.5, "\\ud83d\\ude00", null]}')
    assert read_json(tmp_path / "a.json") == {"a": [1, 2.5, "\U0001f600", None]}


@pytest.mark.parametrize("content,message", [
    ("a,b\n1,2,3\n4,5,6\n", "rows have more fields than the 2 columns"),
    ("a,b\n1,2\n4,5,6\n", "not a readable table .*Expected 2 fields in line 3, saw 3"),
    ("a,b,a\n1,2,3\n", "column 'a' appears twice"),
    ("a, a\n1,2\n", "column 'a' appears twice"),
    ('a,b\n1,"2\n', "not a readable table .*EOF inside string"),
    ("a,b\n1,2\0\n", "not text .a NUL byte at byte 7"),
    ("a\n" + "x" * (limits.LINE_BYTES + 1), "a line of over 1 MB"),
    ("a\n" + "x" * (limits.FIELD + 1), "column 'a': a cell of more than 10,000 characters"),
    (",".join("abc" + str(n) for n in range(2_100)) + "\n1\n", "over 2,000 columns"),
    (b"a,b\n1,\xff\n", "not UTF-8 text"),
    ("a;b\n", "no rows; want .* one column with semicolons in it; want commas"),
])
def test_csv_files(tmp_path, content, message):
    refused(read_table, tmp_path / "a.csv", message, content)


def test_a_first_row_with_more_cells_does_not_shift_the_columns(tmp_path):
    """pandas alone takes the first column for row names then, and every value moves to the left."""
    (tmp_path / "a.csv").write_text("loan_id,balance\nL1,5,\nL2,6,\n")
    with pytest.raises(InputError, match="rows have more fields"):
        read_csv(tmp_path / "a.csv")


def test_short_rows_end_in_blanks(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeffa , b,c\n1\n2,3\n")
    assert read_csv(tmp_path / "a.csv").to_dict("list") == {"a": ["1", "2"], "b": ["", "3"],
                                                            "c": ["", ""]}


@pytest.mark.parametrize("text,fits", [
    ("1e15", True), ("1e16", False), ("1e400", False), ("-1e400", False), ("nan", False),
    ("inf", False), ("1_000", False), ("0x10", False), ("-5", True)])
def test_numbers_of_tables(text, fits):
    problems = Problems("x")
    judge(pd.DataFrame({"a": [text]}), [Column("a", "number")], problems, str)
    assert bool(problems.found) != fits


@pytest.mark.parametrize("text,fits", [
    ("2025-10-15", True), ("1899-12-31", False), ("2201-01-01", False), ("9999-12-31", False),
    ("0001-01-01", False), ("2025-02-30", False), ("15/10/2025", False)])
def test_dates_of_tables(text, fits):
    problems = Problems("x")
    judge(pd.DataFrame({"a": [text]}), [Column("a", "date")], problems, str)
    assert bool(problems.found) != fits


def test_what_is_no_file_is_refused(tmp_path):
    refused(read_table, tmp_path, "not a file")
    refused(read_table, tmp_path / "none.csv", "no such file")
    refused(load_toml, tmp_path / "none.toml", "no such file")
    refused(load_toml, tmp_path / ("x" * 5_000), "cannot be read|no such file")
    with pytest.raises(InputError, match="not a file name"):
        checked("a\0b", 10)
    os.mkfifo(tmp_path / "pipe.csv")  # nobody writes to it: reading would wait for ever
    refused(read_table, tmp_path / "pipe.csv", "not a file")
    if os.path.exists("/dev/zero"):
        refused(load_toml, "/dev/zero", "not a file")


@pytest.mark.parametrize("name,fits", [
    ("base", True), ("2025.Q3_v-1", True), ("../x", False), ("/etc/x", False), ("a/b", False),
    ("a\\b", False), (".hidden", False), ("", False), ("x" * 101, False), ("a\0", False),
    ("NUL", False), ("con.txt", False), ("COM1", False), ("end.", False), ("a b", False),
    ("a\n", False)])
def test_names_of_folders(name, fits):
    assert is_file_name(name) == fits


@pytest.mark.parametrize("override", [
    'name="../../x"', 'name="/tmp/x"', 'scenarios=["../../x"]', 'scenarios=["a/b"]', 'name="NUL"'])
def test_names_of_a_config_cannot_leave_their_folder(override):
    with pytest.raises(InputError, match="it names a folder"):
        read_config(overrides=[override])


@pytest.mark.parametrize("out", ["x" * 300, "a\0b", "/dev/null/x"])
def test_what_cannot_be_a_folder_is_refused(out):
    with pytest.raises(InputError, match="cannot be written .*; want a folder that can be made"):
        choose_folder("x", out)


def test_overrides_are_not_deep_and_no_odd_paths():
    with pytest.raises(InputError, match="nested too deeply"):
        set_value({}, "a." * 5_000 + "b=1")
    data = {}
    set_value(data, "deal=" + "x" * 5_000)
    set_value(data, "run=" + "[" * 5_000)
    assert data == {"deal": "x" * 5_000, "run": "[" * 5_000}


def test_cells_of_written_tables_are_no_formulas(tmp_path):
    rows = pd.DataFrame({"name": ["=1+1", "+A1", "-cmd|' /C calc'!A0", "@SUM(A1)", "\tx", "-5",
                                  "+1.5e3", "plain", "", None],
                         "=bad": [float(n) for n in range(10)]})
    write_csv(rows, tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text()
    assert text.splitlines()[0] == "name,'=bad"
    assert [line.split(",")[0][:4] for line in text.splitlines()[1:9]] == [
        "'=1+", "'+A1", "'-cm", "'@SU", "'\tx", "-5", "+1.5", "plai"]
    got = read_csv(tmp_path / "a.csv")  # the package's own reader takes the apostrophe off again
    assert got["name"].tolist()[:4] == ["=1+1", "+A1", "-cmd|' /C calc'!A0", "@SUM(A1)"]
    assert text_cell("=x") == "'=x" and text_cell(-5.0) == -5.0 and text_cell("O'Neil") == "O'Neil"
    assert csv_text([{"a": "=x", "b": -1.0}]) == "a,b\n'=x,-1.0\n"


def test_messages_cannot_move_the_cursor_or_fake_lines():
    problems = Problems("tape\x1b[2J.csv")
    problems.say("row 2 (L1\nrow 3: fine\x1b[31m\u202e): missing")
    problems.say("x" * 100_000)
    with pytest.raises(InputError) as error:
        problems.raise_if_any()
    lines = str(error.value).split("\n")
    assert len(lines) == 3 and all(line.isprintable() for line in lines)
    assert "\\x1b[31m\\u202e" in lines[1] and len(lines[2]) < 2_100


class Hostile:
    """What pickle would run."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_checkpoints_and_blocks_execute_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "model.npz", a=np.array([Hostile()], dtype=object))
    refused(load_record, tmp_path / "model.npz", "not a checkpoint of clo_gen .*allow_pickle=False")
    (tmp_path / "b").mkdir()
    (tmp_path / "model.npz").rename(tmp_path / "b" / "000000.npz")
    assert Blocks(tmp_path).load("b", 0) is None
    refused(load_record, tmp_path / "raw.npz", "not a checkpoint", pickle.dumps(Hostile()))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("structure,message", [
    (b'{"record": {"record": "clo_gen.__main__:x", "fields": {}}, "about": {}}', "is no record"),
    (b'{"record": {"record": "os:system", "fields": {}}, "about": {}}', "is no record"),
    (b'{"record": {"record": "clo_gen.models.knobs:np", "fields": {}}, "about": {}}', "no record"),
    (b'{"record": {"array": "missing"}, "about": {}}', "not a model of clo_gen"),
    (b'{"record": {"record": 5}}', "not a model of clo_gen"),
    (b"[" * 100_000, "not a checkpoint"),
    (b"5", "not a checkpoint"),
    (b"\xff", "not a checkpoint"),
])
def test_structures_of_checkpoints(tmp_path, structure, message):
    np.savez(tmp_path / "m.npz", **{"structure.json": np.frombuffer(structure, np.uint8)})
    refused(load_record, tmp_path / "m.npz", message)


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "CHECKPOINT_BYTES", 2 * limits.MB)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.npy", b"\0" * 3 * limits.MB)
    assert (tmp_path / "bomb.npz").stat().st_size < 10_000
    refused(load_record, tmp_path / "bomb.npz", "unpacks to 3 MB")


def test_parquet_files_are_judged_by_what_they_unpack_to(tmp_path, monkeypatch):
    pd.DataFrame({"a": ["x" * 1_000] * 5_000}).to_parquet(tmp_path / "a.parquet")
    read_table(tmp_path / "a.parquet")
    monkeypatch.setattr(limits, "TABLE_ROWS", 4_000)
    refused(read_table, tmp_path / "a.parquet", "5,000 rows, 1 columns")
    refused(read_table, tmp_path / "b.parquet", "not a readable table", b"PAR1xxxxPAR1")


HOSTILE = "[/red]$\\frac{1$:smile:<script>alert(1)</script>\u05d0\U0001f4a5"


def test_names_are_printed_and_drawn_as_they_are(tmp_path, capsys):
    from clo_gen.hypo import Obligor
    from clo_gen.plots.run import write_hypo_figure
    from clo_gen.terminal.console import new_table, show

    table = new_table(HOSTILE, ["name", "[bold]number"])
    table.add_row("[/x] " + HOSTILE[:6], "1")
    show(table)
    out = capsys.readouterr().out
    assert "[/x] [/red]" in out and "[bold]number" in out and ":smile:" in out
    write_hypo_figure(tmp_path / "pool.png", HOSTILE, [Obligor(1.0, 0)], None)
    assert (tmp_path / "pool.png").stat().st_size > 1_000


@pytest.mark.parametrize("name", ["", "x" * 101, "a\\u001b[31m", "a\\nb"])
def test_names_in_deals_have_bounds(tmp_path, name):
    from clo_gen.io.deal import read_deal
    from clo_gen.io.tables import config_path

    text = config_path("deals/us_bsl.toml").read_text()
    (tmp_path / "d.toml").write_text(text.replace('name = "subordinated"', f'name = "{name}"'))
    refused(read_deal, tmp_path / "d.toml", "equity.name")


@pytest.mark.parametrize("old,new", [("closing = 20", "closing = 10"),
                                     ("maturity = 20", "maturity = 99")])
def test_dates_of_deals_have_bounds(tmp_path, old, new):
    from clo_gen.io.deal import read_deal
    from clo_gen.io.tables import config_path

    text = config_path("deals/us_bsl.toml").read_text()
    assert old in text
    (tmp_path / "d.toml").write_text(text.replace(old, new, 1))
    refused(read_deal, tmp_path / "d.toml", "want a date from 1900 to 2200")


@pytest.mark.slow
def test_hostile_names_go_through_a_whole_run(tmp_path):
    from conftest import SMALL, short_deal

    from clo_gen.jobs.run import main_job

    deal = tmp_path / "deal.toml"
    text = pathlib.Path(short_deal().split("'")[1]).read_text()
    for name in ("=cmd|' /C calc'!A0", HOSTILE):
        deal.write_text(text.replace('name = "subordinated"', f"name = '''{name}'''"))
        config, base = read_config(overrides=[*SMALL, f"deal='{deal}'", 'scenarios=["adverse"]'])
        main_job(config, base, tmp_path / f"out{len(name)}")
        written = pd.read_csv(tmp_path / f"out{len(name)}" / "tranches.csv")
        assert written["class"].iloc[-1] == ("'" if name[0] == "=" else "") + name
        assert "<script>alert" not in (tmp_path / f"out{len(name)}" / "report.html").read_text()
