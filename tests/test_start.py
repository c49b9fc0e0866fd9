"""How runs begin and go on: one run a folder, bytes that reach the disk, options remembered."""

import json
import os
import pathlib
import threading

import pytest
from conftest import SMALL, short_deal, small_assembly

from clo_gen.io import folders, manifest
from clo_gen.io.config import read_config
from clo_gen.io.folders import choose_folder, claim, draft_of, publish
from clo_gen.io.problems import InputError, Interrupted
from clo_gen.jobs import run, start
from clo_gen.jobs.hosts import Hosts

SETTINGS = [*SMALL, "block=2", short_deal(), 'scenarios=["baseline","adverse"]']
NOTHING = {"memory": None, "check": None}


def begin(out, resume=False, **options):
    """What jobs.start.begin gives a small run."""
    a = small_assembly(*SETTINGS)
    folder = read_config(overrides=SETTINGS)[1]
    return start.begin(a, folder, out, resume, NOTHING | options, Hosts())


def test_of_many_that_claim_a_folder_one_gets_it(tmp_path):
    count, won, together = 16, [], threading.Barrier(16)

    def one(number):
        together.wait()
        if claim(tmp_path / "run", lambda folder: (folder / f"{number}").touch()):
            won.append(number)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.name for p in tmp_path.iterdir()] == ["run.partial"]
    assert [p.name for p in (tmp_path / "run.partial").iterdir()] == [f"{n}" for n in won]


def test_runs_that_begin_at_once_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [begin(None)[1] for _ in range(2)] == [
        pathlib.Path("runs/quickstart"), pathlib.Path("runs/quickstart-2")]
    found = manifest.read(tmp_path / "runs" / "quickstart-2.partial")
    assert found["config"]["block"] == 2 and found["options"]["check"] is False
    with pytest.raises(InputError, match="--resume runs/quickstart"):
        begin(pathlib.Path("runs/quickstart"))
    monkeypatch.setattr(start, "choose_folder", lambda name, out: out)  # it was free a moment ago
    with pytest.raises(InputError, match="--out runs/quickstart: another run has begun there"):
        begin(pathlib.Path("runs/quickstart"))


def test_names_that_mark_a_draft_are_refused(tmp_path):
    with pytest.raises(InputError, match="--out .*x.partial: want the name"):
        choose_folder("run", tmp_path / "x.partial")
    with pytest.raises(InputError, match="name: x.partial; want one that does not end in"):
        choose_folder("x.partial", None)


def test_bytes_are_on_the_disk_before_a_folder_gets_its_name(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def note(handle):
        path = pathlib.Path(os.readlink(f"/proc/self/fd/{handle}"))
        synced.append((path.relative_to(tmp_path), (tmp_path / "run").exists()))
        fsync(handle)

    monkeypatch.setattr(folders.os, "fsync", note)
    draft = draft_of(tmp_path / "run")
    (draft / "sub").mkdir(parents=True)
    (draft / "sub" / "file").write_text("x")
    publish(tmp_path / "run")
    names = [pathlib.Path(p) for p in ("run.partial/sub/file", "run.partial/sub", "run.partial",
                                       ".")]
    assert synced == [*((name, False) for name in names[:3]), (names[3], True)]
    assert (tmp_path / "run" / "sub" / "file").read_text() == "x"


def test_a_resumed_run_keeps_memory_and_check(tmp_path):
    out = tmp_path / "run"
    a, _, options = begin(out, memory=5e8, check=True)
    assert options == {"memory": 5e8, "check": True}
    assert begin(out, True)[2] == options
    changed = begin(out, True, memory=6e8)[2]
    assert changed == {"memory": 6e8, "check": True} and begin(out, True)[2] == options
    with start.at_work(out, changed, Hosts()):  # what works on the run is what stays
        pass
    assert begin(out, True)[2] == changed
    with pytest.raises(InputError, match=r"--memory: 1MB are too few for 2 paths \(block\) of 24"):
        begin(out, True, memory=1e6)


def test_one_process_at_a_time_works_on_a_run(tmp_path):
    _, out, options = begin(tmp_path / "run")
    with start.at_work(out, options, Hosts()):
        with pytest.raises(InputError, match="run.partial: another process is working on it"):
            with start.at_work(out, options, Hosts()):
                pass
    with start.at_work(out, options, Hosts()):
        pass


def test_a_file_in_place_of_the_manifest_is_named(tmp_path):
    _, out, _ = begin(tmp_path / "run")
    file = draft_of(out) / "manifest.json"
    whole = json.loads(file.read_text())
    for content, words in ((b"\xff\xfe{", "not UTF-8 text"), (b"[1]", "lacks config, files"),
                           (json.dumps(whole | {"config": 3}).encode(), "lacks config;"),
                           (json.dumps({k: v for k, v in whole.items() if k != "options"}).encode(),
                            "lacks options;")):
        file.write_bytes(content)
        with pytest.raises(InputError, match=f"manifest.json: {words}"):
            start.prepare(None, None, out)


def test_versions_devices_and_the_code_itself_are_held(tmp_path):
    _, out, _ = begin(tmp_path / "run")
    found = manifest.read(draft_of(out))
    assert {"clo_gen", "jax", "jaxlib", "source of clo_gen"} == found["versions"].keys()
    assert found["devices"] == "two or more"
    for changed, words in (
            ({"versions": found["versions"] | {"source of clo_gen": "0"}}, "source of clo_gen: "),
            ({"versions": found["versions"] | {"jaxlib": "0.1"}}, "jaxlib: was '0.1'"),
            ({"devices": "one"}, "devices: was one, now two or more")):
        with pytest.raises(InputError, match=words):
            manifest.refuse_changes(found | changed, found, tmp_path)


def test_ctrl_c_before_the_first_block_says_what_there_is(tmp_path, monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    config, folder, out = start.prepare(None, tmp_path / "run", None, SETTINGS)
    monkeypatch.setattr(run, "assemble", pressed)
    with pytest.raises(KeyboardInterrupt) as stopped:
        run.main_job(config, folder, out)
    assert not isinstance(stopped.value, Interrupted) and not list(tmp_path.iterdir())
    begin(out)
    with pytest.raises(Interrupted, match=f"^go on with clo-gen run --resume {out}$"):
        run.main_job(*start.prepare(None, None, out), resume=True)


def test_ctrl_c_after_the_last_step_says_that_the_run_is_complete(tmp_path, monkeypatch):
    def pressed(a, out, *_):
        publish(out)
        (out / "summary.json").write_text("{}")
        (out / "blocks").mkdir()
        raise KeyboardInterrupt

    config, folder, out = start.prepare(None, tmp_path / "run", None, SETTINGS)
    monkeypatch.setattr(run, "_run", pressed)
    monkeypatch.setattr(run, "held_out_transitions", lambda *_: None)
    with pytest.raises(Interrupted, match=f"^{out} is complete; clo-gen run --resume {out} rem"):
        run.main_job(config, folder, out)
    with pytest.raises(InputError, match="this run is complete"):
        start.prepare(None, None, out)
    assert not (out / "blocks").exists()
