"""Runs as processes: shared by several, killed, interrupted, and gone on with."""

import importlib.util
import pathlib
import signal
import subprocess
import sys

import pytest
from conftest import SMALL, short_deal

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).parent.parent


def experiment():
    spec = importlib.util.spec_from_file_location("kill", ROOT / "experiments" / "kill_resume.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


kill = experiment()


def settings(*more):
    return [x for s in [*SMALL, "block=2", short_deal(), 'scenarios=["baseline","adverse"]', *more]
            for x in ("--set", s)]


@pytest.fixture(autouse=True)
def ctrl_c():
    """Processes hear Ctrl-C, as in a terminal, wherever the suite runs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return kill.go_on(tmp_path_factory.mktemp("whole") / "run", settings())


@pytest.mark.parametrize("step", list(kill.STEPS)[1::2] + list(kill.STEPS)[-1:])
def test_a_run_killed_where_files_get_their_names_goes_on_to_the_same_bytes(whole, tmp_path, step):
    assert kill.killed_at_step(tmp_path / "run", step, settings()) == whole
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("count", [2, 4])
def test_processes_give_the_same_bytes(whole, tmp_path, count):
    started = [kill.command(tmp_path, "--out", "run", "--coordinator", f"127.0.0.1:{9700 + count}",
                            "--process-id", str(i), "--num-processes", str(count), *settings())
               for i in range(count)]
    said = [p.communicate(timeout=300) for p in started]
    assert all(p.returncode == 0 for p in started), said
    assert kill.contents(tmp_path / "run") == whole


@pytest.mark.parametrize("victim", [0, 1])
def test_ctrl_c_on_one_of_two_processes_ends_both(tmp_path, victim):
    """With so many blocks that both have some left."""
    out, many = tmp_path / "run", settings("paths=20000")
    codes, said, seconds = kill.one_of_two(out, many, signal.SIGINT, victim)
    assert codes == [3, 3] and seconds < 120, said  # JAX's own end: 134 after 300
    assert all("go on with clo-gen run --resume run" in text for text in said)
    assert f"process {victim}: interrupted" in said[1 - victim]
    assert not out.exists() and list((tmp_path / "run.partial").rglob("*.npz"))


def test_a_killed_process_of_two_ends_the_other_and_the_run_goes_on(tmp_path):
    codes, said, seconds = kill.one_of_two(tmp_path / "run", settings("paths=20000"),
                                           signal.SIGKILL, 1)
    assert codes == [-signal.SIGABRT, -signal.SIGKILL] and seconds < 90, said  # JAX: 100
    assert "go on with" not in said[0]  # JAX ends it, with its own words
    resumed = kill.command(tmp_path, "--resume", "run")
    while "paths are there" not in (line := resumed.stderr.readline()):
        assert line, "ended"
    resumed.kill()
    resumed.communicate()


def test_bad_input_of_one_process_ends_both_and_leaves_nothing(tmp_path):
    started = [subprocess.Popen(
        [sys.executable, "-m", "clo_gen", "run", "--out", "run", "--coordinator", "127.0.0.1:9709",
         "--process-id", str(i), "--num-processes", "2", *settings(*more)], cwd=tmp_path,
        stderr=subprocess.PIPE, text=True) for i, more in enumerate(([], ["seed=-1"]))]
    said = [p.communicate(timeout=120)[1] for p in started]
    assert [p.returncode for p in started] == [2, 2], said
    assert all("seed: -1; want" in text for text in said) and "process 1: " in said[0]
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_xla_compiles_ends_with_code_3(tmp_path):
    run = kill.command(tmp_path, "--out", "run", *settings("paths=2222"))
    while "compiling" not in (line := run.stderr.readline()):
        assert line, "ended"
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=120)[1]
    assert run.returncode == 3 and "go on with clo-gen run --resume run" in said
