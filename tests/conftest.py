"""Double precision, four CPU devices, and strict rules for the whole suite."""

import functools
import os
import tempfile

import jax

# Graphs that several tests build alike are compiled once, also in the processes that tests start.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="clo_gen_tests_")
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_debug_key_reuse", True)

import pytest  # noqa: E402

from clo_gen.assemble import assemble  # noqa: E402
from clo_gen.io.config import read_config  # noqa: E402

SMALL = ["paths=8", "block=8", "tape.synthetic.obligors=24"]


@functools.cache
def small_assembly(*overrides):
    """The quickstart with 24 loans; `overrides` are further key=value texts."""
    config, folder = read_config(overrides=[*SMALL, *overrides])
    return assemble(config, folder)


@pytest.fixture
def small():
    return small_assembly


@pytest.fixture
def key():
    return jax.random.key(7)
