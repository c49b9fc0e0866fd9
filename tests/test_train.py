"""The training loop and its checkpoints: laws on a problem whose answer is known."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clo_gen.io import checkpoint
from clo_gen.io.problems import InputError
from clo_gen.models import macro_baseline
from clo_gen.train import loop

CONFIG = loop.TrainConfig(epochs=12, batch=16, learning_rate=0.05, evaluate_every=3, patience=50)


def line_task(seed=0, noise=0.1):
    """Fit y = 2 x + 1 from 64 noisy examples."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(96, 1)).astype(np.float32)
    y = 2.0 * x[:, 0] + 1.0 + noise * generator.normal(size=96).astype(np.float32)

    def error(params, data):
        return jnp.mean((data["x"] @ params["w"] + params["b"] - data["y"]) ** 2)

    def loss(params, batch, key, progress):
        jitter = 0.01 * jax.random.normal(key, (), jnp.float32)
        return error(params, batch) + 0.0 * jitter, {"progress": progress}

    return loop.Task(
        init=lambda key: {"w": jax.random.normal(key, (1,), jnp.float32),
                          "b": jnp.zeros((), jnp.float32)},
        loss=loss, score=error, train={"x": x[:64], "y": y[:64]},
        held_out={"x": x[64:], "y": y[64:]})


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b),
                                                    strict=True))


def test_fit_finds_the_line():
    params, history = loop.fit(line_task(), dataclasses.replace(CONFIG, epochs=60))
    np.testing.assert_allclose([params["w"][0], params["b"]], [2.0, 1.0], atol=0.1)
    assert history[-1]["held_out"] < 0.02 and history[-1]["progress"] > 0.9


def test_resumed_fit_gives_the_same_bits(tmp_path):
    task = line_task()
    whole, history = loop.fit(task, CONFIG)
    kept = []

    def stop_after_two(state, rows):
        checkpoint.save_state(tmp_path / "state.npz", state, {"history": rows})
        kept.append(rows)
        if len(kept) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.fit(task, CONFIG, save=stop_after_two)
    state, about = checkpoint.load_state(tmp_path / "state.npz", loop.start(task, CONFIG))
    resumed, rows = loop.fit(task, CONFIG, state=state, history=about["history"])
    assert same(whole, resumed)
    assert [r["held_out"] for r in rows] == [r["held_out"] for r in history]


def test_devices_that_share_a_step_find_the_same_parameters():
    task, four = line_task(), dataclasses.replace(CONFIG, devices=4)
    alone, history = loop.fit(task, CONFIG)
    shared, rows = loop.fit(task, four)
    for name in alone:
        np.testing.assert_allclose(alone[name], shared[name], rtol=1e-4)
    assert [r["epoch"] for r in rows] == [r["epoch"] for r in history]
    compiled = loop.compile_epochs(task, four, jax.device_put(
        loop.start(task, four), loop.mesh.replicated(loop.mesh.example_mesh(4))), 1)
    assert "all-reduce" in compiled.as_text()  # each device saw its own examples only


@pytest.mark.parametrize("devices", [3, 64])
def test_devices_that_cannot_share_a_step_are_refused(devices):
    with pytest.raises(InputError, match=f"fit.devices: {devices}; want a divisor of the 16 exam"):
        loop.fit(line_task(), dataclasses.replace(CONFIG, devices=devices))


def test_early_stopping_keeps_the_best_parameters():
    task = line_task()
    config = dataclasses.replace(CONFIG, epochs=400, patience=3, learning_rate=0.3)
    params, history = loop.fit(task, config)
    scores = [row["held_out"] for row in history]
    assert len(scores) < 400 / config.evaluate_every
    assert min(scores) == pytest.approx(float(task.score(params, task.held_out)), rel=1e-5)
    assert min(scores) not in scores[-3:]


def test_training_that_only_harms_keeps_the_start():
    task = line_task()
    best = {"w": jnp.asarray([2.0], jnp.float32), "b": jnp.asarray(1.0, jnp.float32)}
    wrong = dataclasses.replace(task, loss=lambda p, batch, key, progress: (
        -task.loss(p, batch, key, progress)[0], {}))
    params, history = loop.fit(wrong, CONFIG, state=loop.start(wrong, CONFIG, best))
    assert same(params, best) and history[0]["epoch"] == 0


def test_every_epoch_visits_each_example_at_most_once():
    rows = loop.shuffled(CONFIG, 70, epoch=3)
    assert rows.shape == (4, 16) and len(np.unique(rows)) == 64
    assert not np.array_equal(rows, loop.shuffled(CONFIG, 70, epoch=4))


def test_clipping_bounds_a_step():
    optimizer = loop.optimizer_of(dataclasses.replace(CONFIG, weight_decay=0.0), steps=10)
    params = {"w": jnp.zeros(2, jnp.float32)}
    state = optimizer.init(params)
    far, _ = optimizer.update({"w": jnp.asarray([1e9, -1e9], jnp.float32)}, state, params)
    assert np.all(np.isfinite(far["w"]))


def test_a_model_record_is_read_back_whole(tmp_path):
    values = np.cumsum(np.random.default_rng(0).normal(size=(200, 3)), 0) * 0.01
    model = macro_baseline.fit_block_bootstrap(values, values[-1])
    checkpoint.save_record(tmp_path / "model.npz", model, {"level": "macro"})
    again, about = checkpoint.load_record(tmp_path / "model.npz")
    assert type(again) is type(model) and about == {"level": "macro"} and again.block == 24
    assert jax.tree.structure(again) == jax.tree.structure(model) and same(again, model)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "model.npz"
    with pytest.raises(InputError, match="no such file"):
        checkpoint.load_record(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="not a checkpoint of clo_gen"):
        checkpoint.load_record(path)
    structure = {"record": {"record": "subprocess:Popen", "fields": {}}, "about": {}}
    np.savez(path, **{"structure.json": np.frombuffer(json.dumps(structure).encode(), np.uint8)})
    with pytest.raises(InputError, match="subprocess:Popen is no record"):
        checkpoint.load_record(path)
    task = line_task()
    checkpoint.save_state(path, loop.start(task, CONFIG).params)
    with pytest.raises(InputError, match="does not fit this model"):
        checkpoint.load_state(path, loop.start(task, CONFIG))


def test_fingerprint_sees_every_number():
    data = {"x": np.arange(6.0), "y": np.arange(3)}
    other = {"x": np.arange(6.0), "y": np.array([0, 1, 3])}
    assert checkpoint.fingerprint(data) == checkpoint.fingerprint(dict(data))
    assert checkpoint.fingerprint(data) != checkpoint.fingerprint(other)
