"""Runs in blocks: bits that do not depend on devices, files that survive a kill, broken paths."""

import dataclasses
import errno
import functools
import json
import pathlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL, short_deal, small_assembly

from clo_gen import mesh, outcomes
from clo_gen.io import manifest
from clo_gen.io.checkpoint import save_record
from clo_gen.io.config import read_config
from clo_gen.io.folders import choose_folder
from clo_gen.io.problems import InputError, Interrupted, WriteError
from clo_gen.jobs import guards, simulation
from clo_gen.jobs.blocks import Blocks
from clo_gen.jobs.run import main_job
from clo_gen.jobs.start import prepare
from clo_gen.levels import LEVELS
from clo_gen.train.loop import start
from clo_gen.train.trajectory import FIT, TrajectoryTraining

SETTINGS = [*SMALL, "block=2", short_deal(), 'scenarios=["baseline","adverse"]']
NOT_COMPARED = {"timing.json"}


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and p.name not in NOT_COMPARED}


def run(out, *overrides, **options):
    config, folder, out = prepare(None, out, None, [*SETTINGS, *overrides])
    return main_job(config, folder, out, **options)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    run(out)
    return out


@functools.cache
def kept_on(count, mode="markov"):
    """Kept (host) of paths 0 to 7 of the small deal, in blocks of 2, on `count` devices."""
    a = small_assembly(f"mode={mode}")
    devices = jax.make_mesh((count,), ("paths",), devices=jax.devices()[:count],
                            axis_types=(jax.sharding.AxisType.Auto,))
    sim = simulation.simulator(a, 2, devices)
    parts = [jax.tree.map(np.asarray, sim.run(a.scenarios["adverse"],
                                              np.arange(first, first + 2 * count)))
             for first in range(0, 8, 2 * count)]
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def test_paths_have_the_same_bits_on_two_devices_and_on_four():
    jax.tree.map(np.testing.assert_array_equal, kept_on(2), kept_on(4))


@pytest.mark.slow
def test_expected_paths_have_the_same_bits_on_two_devices_and_on_four():
    jax.tree.map(np.testing.assert_array_equal, kept_on(2, "expected"), kept_on(4, "expected"))


@pytest.mark.slow
def test_one_device_gives_the_same_pool_and_the_same_classes_to_rounding():
    one, two = kept_on(1), kept_on(2)
    for name in ("macro", "default", "prepayment", "booked_loss"):
        np.testing.assert_array_equal(getattr(one.curves, name), getattr(two.curves, name))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-12), one, two)


def test_a_block_file_is_whole_or_not_there(tmp_path):
    blocks = Blocks(tmp_path)
    blocks.save("adverse", 3, {"x": np.arange(1000.0)})
    np.testing.assert_array_equal(blocks.load("adverse", 3)["x"], np.arange(1000.0))
    assert [p.name for p in (tmp_path / "adverse").iterdir()] == ["000003.npz"]
    assert blocks.missing([("adverse", 3), ("adverse", 4)]) == [("adverse", 4)]
    whole = blocks.path("adverse", 3).read_bytes()
    for damaged in (whole[:100], whole[:-30], b"", whole[:500] + b"\xff" + whole[501:]):
        blocks.path("adverse", 3).write_bytes(damaged)
        assert blocks.load("adverse", 3) is None
    for place in range(len(whole) - 300, len(whole)):  # the directory of the zip file
        blocks.path("adverse", 3).write_bytes(
            whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1:])
        found = blocks.load("adverse", 3)
        assert found is None or np.array_equal(found["x"], np.arange(1000.0)) and len(found) == 1


def test_a_draft_in_the_way_is_never_deleted(tmp_path):
    (tmp_path / "data.partial").mkdir()
    (tmp_path / "data.partial" / "mine.csv").write_text("precious")
    with pytest.raises(InputError, match="data.partial is in the way"):
        prepare(None, tmp_path / "data", None, SETTINGS)
    (tmp_path / "run.partial").mkdir()
    (tmp_path / "run.partial" / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="an interrupted run is there"):
        choose_folder("tail", tmp_path / "run")
    with pytest.raises(InputError, match="does not end in .partial"):
        prepare(None, tmp_path / "new.partial", None, SETTINGS)


def test_resuming_after_a_full_disk_gives_the_same_bytes(uninterrupted, tmp_path, monkeypatch):
    save, written = Blocks.save, []

    def fills_up(self, scenario, number, arrays):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, scenario, number, arrays)
        written.append((scenario, number))

    out = tmp_path / "run"
    monkeypatch.setattr(Blocks, "save", fills_up)
    with pytest.raises(WriteError, match="No space left.*clo-gen run --resume"):
        run(out)
    assert not out.exists()
    monkeypatch.setattr(Blocks, "save", save)
    with pytest.raises(InputError, match="interrupted run is there, or one under way"):
        prepare(None, out, None, SETTINGS)
    half = out.with_name("run.partial") / "blocks" / "baseline" / "000001.npz"
    half.write_bytes(half.read_bytes()[:-1])
    with pytest.raises(InputError, match="paths: was 8, now 6"):
        main_job(*prepare(None, None, out, ["paths=6"]), resume=True)
    redone = []
    main_job(*prepare(None, None, out), resume=True,
             on_block=lambda name, paths: redone.append((name, paths)))
    assert sum(paths for _, paths in redone) == 2 * (1 + 8 - 3)  # the half one and the missing
    assert contents(out) == contents(uninterrupted)
    with pytest.raises(InputError, match="this run is complete"):
        prepare(None, None, out)


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal, wherever the suite runs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_disk_that_is_full_from_the_start_is_one_message(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(manifest, "write", full)
    with pytest.raises(InputError, match="run: cannot be written .No space left"):
        run(tmp_path / "run")


def test_ctrl_c_finishes_the_block_and_says_how_to_go_on(tmp_path, ctrl_c):
    pressed = []

    def press_once(*_):
        if not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="go on with clo-gen run --resume"):
        run(tmp_path / "run", "paths=64", on_block=press_once)
    blocks = Blocks(tmp_path / "run.partial" / "blocks")
    done = [blocks.load("baseline", n) is not None for n in range(32)]
    assert done == sorted(done, reverse=True) and 0 < sum(done) < 32
    assert prepare(None, None, tmp_path / "run.partial")[2] == tmp_path / "run"


def test_a_second_ctrl_c_stops_at_once(ctrl_c):
    with simulation.finishes_the_block() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_run_that_is_to_ignore_ctrl_c_does(ctrl_c):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with simulation.finishes_the_block() as stop:
        signal.raise_signal(signal.SIGINT)
        assert not stop()


def test_a_changed_config_or_file_is_refused_with_the_difference(uninterrupted, tmp_path):
    started = json.loads((uninterrupted / "manifest.json").read_text())
    config, folder = read_config(overrides=[*SETTINGS, "prepayment.cpr=0.1", "paths=9"])
    a = small_assembly(*SETTINGS)
    now = manifest.manifest(config, folder, (a.params, a.inputs, a.scenarios))
    with pytest.raises(InputError) as refusal:
        manifest.refuse_changes(started, now, tmp_path)
    assert "prepayment.cpr: was 0.2, now 0.1" in str(refusal.value)
    assert "paths: was 8, now 9" in str(refusal.value)
    same = manifest.manifest(a.config, folder, (a.params, a.inputs, a.scenarios))
    manifest.refuse_changes(started, same, tmp_path)
    deal = next(name for name in same["files"] if name.endswith("us_bsl_short.toml"))
    for changed, words in (
            ({"files": same["files"] | {deal: "0" * 16}}, "content has changed"),
            ({"versions": same["versions"] | {"jax": "9.9"}}, "version: jax: was '9.9'"),
            ({"arrays": "0" * 16}, "give other arrays"),
            ({"platform": "gpu"}, "platform: was gpu")):
        with pytest.raises(InputError, match=words):
            manifest.refuse_changes(same | changed, same, tmp_path)


def made_up(count=6, t=3):
    """Kept of `count` paths with numbers that tell them apart."""
    def like(*shape, dtype=np.float64):
        return np.arange(count * int(np.prod(shape)), dtype=dtype).reshape(count, *shape)

    numbers = {f.name: like(2) for f in dataclasses.fields(outcomes.PathNumbers)}
    curves = {f.name: like(t, dtype=np.float32) for f in dataclasses.fields(outcomes.PathCurves)}
    curves |= {"ratio": 1.0 + like(t, 2, dtype=np.float32) / 10}
    return outcomes.Kept(outcomes.PathNumbers(**numbers | {"loss": like()}),
                         outcomes.PathCurves(**curves))


def blocks_of(kept, size, paths, triggers):
    def part(n):
        return jax.tree.map(lambda x: x[n: n + size], kept)

    return [outcomes.block_arrays(part(n), n, paths, triggers)
            for n in range(0, len(kept.numbers.loss), size)]


def test_gathered_blocks_are_the_paths(monkeypatch):
    monkeypatch.setattr(outcomes, "CURVES", 4)
    kept = made_up()
    found = outcomes.gather(blocks_of(kept, 2, 5, [1.5, 2.0]))
    assert found.path.tolist() == [0, 1, 2, 3, 4] and not found.broken  # the sixth is not asked for
    np.testing.assert_array_equal(found.numbers.loss, kept.numbers.loss[:5])
    np.testing.assert_array_equal(found.curves.default, kept.curves.default[:4])
    np.testing.assert_allclose(found.means.default, kept.curves.default[:5].mean(0))
    np.testing.assert_allclose(found.failing,
                               (kept.curves.ratio[:5] < np.float32([1.5, 2.0])).mean(0))


def test_a_path_that_is_not_finite_is_counted_and_left_out():
    kept = made_up()
    kept.curves.default[3, 1], kept.numbers.price[3, 0] = np.inf, np.nan
    kept.numbers.irr[2] = np.nan  # no yield found: not a broken path
    found = outcomes.gather(blocks_of(kept, 2, 6, [1.5, 2.0]))
    assert {k: sorted(v) for k, v in found.broken.items()} == {3: ["default", "price"]}
    assert found.path.tolist() == [0, 1, 2, 4, 5]
    np.testing.assert_allclose(found.means.default,
                               np.delete(kept.curves.default, 3, axis=0).mean(0))
    assert np.isfinite(found.numbers.loss).all() and len(found.numbers.loss) == 5


@pytest.mark.slow
def test_check_names_the_operation_that_makes_a_nan():
    a = small_assembly()
    scenario = a.scenarios["baseline"]
    assert guards.checked(a)(scenario, 1) is None
    tape = a.inputs.tape.replace(recovery_rate=a.inputs.tape.recovery_rate.at[0].set(jnp.inf))
    broken = dataclasses.replace(a, inputs=a.inputs.replace(tape=tape))
    error = guards.checked(broken)(scenario, 1)  # 0 times infinity: a loan that does not default
    assert "nan generated by primitive: mul" in error and "loans.py" in error


def test_blocks_fit_the_memory():
    config = read_config()[0]
    assert simulation.choose_block(config, 200, 2, "cpu", 2e9) == 64
    assert simulation.choose_block(config, 10_000, 2, "cpu", 2e9) == 20
    assert simulation.choose_block(config, 10_000, 2, "gpu", 8e9) == 500  # half of the paths
    for mode in simulation.PER_LOAN:
        c = config.model_copy(update={"mode": mode})
        small = simulation.choose_block(c, 2000, 2, "gpu", 1e8)
        assert small >= 1 and small * 2 * simulation.bytes_of_path(mode, 2000) <= 1e8
    with pytest.raises(InputError, match="--memory: 1MB are too few for one path of 10,000 loans "
                       "on each of 2 devices; want at least 4.8MB$"):
        simulation.choose_block(config, 10_000, 2, "cpu", 1e6)
    fixed = config.model_copy(update={"block": 7})
    assert simulation.choose_block(fixed, 200, 8, "cpu", 1e9) == 7
    with pytest.raises(InputError, match=r"--memory: 20MB are too few for 7 paths \(block\) of 200 "
                       "loans on each of 8 devices; want at least 24.64MB, or block = 5 at most"):
        simulation.choose_block(fixed, 200, 8, "cpu", 2e7)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["markov", "expected"])
def test_the_program_needs_no_more_memory_than_was_planned(mode):
    """Temporaries of the compiled program against what choose_block counts on."""
    a = small_assembly("tape.synthetic.obligors=400", f"mode={mode}")
    sim = simulation.simulator(a, 16, mesh.path_mesh())
    assert sim.temporaries <= 16 * simulation.bytes_of_path(mode, 400)


@pytest.mark.slow
def test_lives_of_level_3_need_no_more_memory_than_was_planned(tmp_path):
    """With a model of the shipped sizes that has learned nothing; planned is at most four times
    what is needed."""
    verbs = LEVELS["trajectory"]
    data = verbs.load(TrajectoryTraining(), pathlib.Path("."), None)
    model = verbs.assemble(start(verbs.task(data, None), FIT).params, data, None)
    (tmp_path / "trajectory").mkdir()
    save_record(tmp_path / "trajectory" / "model.npz", model,
                {"kind": data.kind, "source": "nothing, untrained"})
    a = small_assembly("tape.synthetic.obligors=400", "mode=trajectory",
                       f"trajectory.run='{tmp_path}'")
    sim = simulation.simulator(a, 8, mesh.path_mesh())
    planned = 8 * simulation.bytes_of_path("trajectory", 400)
    assert planned / 4 <= sim.temporaries <= planned


def test_processes_share_the_blocks():
    a = small_assembly(*SETTINGS)
    every = simulation.wanted(a, 2)
    shares = [simulation.wanted(a, 2, i, 3) for i in range(3)]
    assert sorted(every) == sorted(b for share in shares for b in share)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
