"""Simulates all scenarios of a run, block by block; a block goes to disk as soon as it is done."""

import contextlib
import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen import mesh, outcomes, pipeline
from clo_gen.assembly import Assembly
from clo_gen.io.problems import InputError, WriteError

AT_ONCE = {"cpu": 64, "gpu": 4096, "tpu": 4096}  # paths on a device: more is not faster
LOANS_AT_ONCE = 200_000  # loans of all these paths, so that a month stays in a CPU core's cache
# Bytes that a path needs while it is computed: a loan's by mode, and macro, curves and waterfall
# (temporaries of the compiled program; a test holds them).
PER_LOAN, PER_PATH = {"markov": 200, "expected": 1000, "trajectory": 8000}, 400_000


@dataclasses.dataclass(frozen=True)
class Simulator:
    """The compiled graph."""

    run: Callable  # (scenario, numbers [devices * block]) -> Kept
    block: int  # paths of a block: what one device computes at once
    devices: int
    compile_s: float
    temporaries: int  # bytes a device


def bytes_of_path(mode, loans):
    """Bytes that a path of `loans` loans needs while it is computed."""
    return PER_LOAN[mode] * loans + PER_PATH


def choose_block(config, loans, devices, platform, memory):
    """Paths of a block: the config's, or what suits the platform and a budget of `memory` bytes.

    Raises InputError when the config's block does not fit, or not even one path.
    """
    one = bytes_of_path(config.mode, loans)
    fits, block = int(memory // (devices * one)), min(config.block or 1, config.paths)
    if fits < block:
        many = "one path" if block == 1 else f"{block:,} paths (block)"
        ways = f"; want at least {_size(block * devices * one)}"
        ways += f", or block = {fits} at most in a new run" if fits > 0 and config.block else ""
        raise InputError(f"--memory: {_size(memory)} are too few for {many} of {loans:,} loans on "
                         f"each of {devices} devices{ways}")
    if config.block is not None:
        return block
    suits = AT_ONCE.get(platform, 64)
    if platform == "cpu":
        suits = min(suits, max(LOANS_AT_ONCE // loans, 4))
    return min(fits, suits, -(-config.paths // devices))


def _size(memory):
    """Text that --memory reads, rounded up."""
    unit, name = next((u, n) for u, n in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))
                      if memory >= u or u == 1)
    return f"{math.ceil(memory / unit * 100) / 100:g}{name}"


def simulator(a: Assembly, block, devices=None):
    """Simulator of the assembly on `devices` (a mesh; None: all devices of this process).

    Every device runs the same program on `block` paths, so a path's result has the same bits on any
    number of devices and processes. On a single device XLA compiles another way: the pool keeps its
    bits, the classes differ by some 1e-15.
    """
    devices = devices or mesh.path_mesh()
    count, spread, whole = devices.size, mesh.by_path(devices), mesh.replicated(devices)

    def run_block(params, inputs, scenario, key, temperature, numbers):
        return outcomes.keep(pipeline.simulate_batch(params, inputs, scenario, key, numbers,
                                                     temperature, setup=a.setup))

    program = mesh.each_device(run_block, devices, (*[False] * 5, True))
    first = next(iter(a.scenarios.values()))
    given = jax.device_put((a.params, a.inputs, first, jax.random.key(a.config.seed),
                            jnp.asarray(a.config.temperature, float)), whole)
    start = time.perf_counter()
    compiled = program.lower(*given, jax.device_put(jnp.arange(block * count), spread)).compile()
    compile_s = time.perf_counter() - start
    params, inputs, _, key, temperature = given

    def run(scenario, numbers):
        return compiled(params, inputs, jax.device_put(scenario, whole), key, temperature,
                        jax.device_put(numbers, spread))

    return Simulator(run, block, count, compile_s,
                     compiled.memory_analysis().temp_size_in_bytes)


def wanted(a: Assembly, block, process=0, processes=1):
    """[(scenario, block number)] that process number `process` of `processes` computes."""
    numbers = range(-(-a.config.paths // block))
    return [(name, n) for name in a.scenarios for n in numbers][process::processes]


def simulate(a: Assembly, sim: Simulator, blocks, todo, *, on_block=lambda name, done: None,
             stop=lambda: None):
    """Computes the blocks `todo` [(scenario, number)] into `blocks` (jobs.blocks.Blocks).

    `on_block(scenario, blocks done of it)` reports progress. Raises what `stop()` returns, once it
    is an exception and the blocks in work are on disk; WriteError when a block cannot be written.
    """
    tests = len(a.deal.terms.tests)
    triggers = np.asarray(a.deal.deal.trigger * a.deal.calendar.tested)[:, :tests]
    waiting = None
    for name, numbers in _together(todo, sim.devices):
        filled = numbers + numbers[-1:] * (sim.devices - len(numbers))
        paths = np.concatenate([n * sim.block + np.arange(sim.block) for n in filled])
        started = sim.run(a.scenarios[name], paths)
        if waiting:  # the devices work while the files of those before are written
            _save(a, sim, blocks, triggers, on_block, *waiting)
        waiting = name, numbers, started
        if stop():
            break
    if waiting:
        _save(a, sim, blocks, triggers, on_block, *waiting)
    if why := stop():
        raise why


def _together(todo, devices):
    """[(scenario, block numbers)]: blocks of one scenario, as many as there are devices."""
    groups: list = []
    for name, number in todo:
        if groups and groups[-1][0] == name and len(groups[-1][1]) < devices:
            groups[-1][1].append(number)
        else:
            groups.append((name, [number]))
    return groups


def _save(a, sim, blocks, triggers, on_block, name, numbers, kept):
    kept = jax.tree.map(np.asarray, kept)
    for i, number in enumerate(numbers):
        part = jax.tree.map(lambda x, i=i: x[i * sim.block: (i + 1) * sim.block], kept)
        arrays = outcomes.block_arrays(part, number * sim.block, a.config.paths, triggers)
        try:
            blocks.save(name, number, arrays)
        except OSError as error:
            raise WriteError(f"{blocks.path(name, number)}: cannot be written ({error.strerror}); "
                             "the blocks before it are on disk") from None
    on_block(name, len(numbers))


def gather(a: Assembly, block, blocks):
    """{scenario: Outcome} of all blocks on disk. Raises WriteError where one is missing."""
    def whole(name, number):
        arrays = blocks.load(name, number)
        if arrays is None:
            raise WriteError(f"{blocks.path(name, number)}: missing or damaged; every process has "
                             "to write to the same folder")
        return arrays

    every = wanted(a, block)
    return {name: outcomes.gather(whole(s, n) for s, n in every if s == name)
            for name in a.scenarios}


@contextlib.contextmanager
def finishes_the_block():
    """Function that is true once Ctrl-C was pressed; a second Ctrl-C interrupts at once."""
    pressed, before = [], signal.getsignal(signal.SIGINT)
    elsewhere = threading.current_thread() is not threading.main_thread()
    if elsewhere or before in (signal.SIG_IGN, None):  # as under nohup
        yield lambda: False
        return

    def note(number, frame):
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
