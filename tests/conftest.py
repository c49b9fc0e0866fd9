"""Double precision, four CPU devices, and strict rules for the whole suite."""

import functools
import importlib.metadata
import os
import pathlib
import tempfile
import zlib

import jax

# Most of a test's time is compiling; what is compiled runs a few times only. XLA ends a process for
# a flag that it does not know, so the second one is for the versions it was tried with.
QUICK = "--xla_backend_optimization_level=0"
if importlib.metadata.version("jaxlib").startswith("0.10."):
    QUICK += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", QUICK)
# Graphs that several tests build alike are compiled once, also in the processes that tests start.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", tempfile.mkdtemp(prefix="clo_gen_tests_"))
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_debug_key_reuse", True)

import pytest  # noqa: E402

from clo_gen.assembly import assemble  # noqa: E402
from clo_gen.io.config import read_config  # noqa: E402
from clo_gen.io.tables import config_path  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--part", metavar="I/N", help="only every Nth test by its name, part I from 0")


def pytest_collection_modifyitems(config, items):
    """`--part 0/4` to `--part 3/4` are four parts of the suite, the same in every process."""
    if config.getoption("--part"):
        part, parts = map(int, config.getoption("--part").split("/"))
        items[:] = [i for i in items if zlib.crc32(i.nodeid.encode()) % parts == part]


SMALL = ["paths=8", "block=8", "tape.synthetic.obligors=24"]
FULL = f"deal='{config_path('deals/us_bsl.toml')}'"


@functools.cache
def short_deal():
    """The quickstart's deal without reinvestment, call and event of default: half to compile."""
    lines = config_path("deals/us_bsl.toml").read_text().splitlines(keepends=True)
    events = ("reinvestment =", "call =", "event_of_default =")
    path = pathlib.Path(tempfile.mkdtemp(prefix="clo_gen_tests_")) / "us_bsl_short.toml"
    path.write_text("".join(line for line in lines if not line.startswith(events)))
    return f"deal='{path}'"


@functools.cache
def small_assembly(*overrides):
    """The quickstart with 24 loans and a short deal; `overrides` are further key=value texts
    (FULL: the quickstart's own deal)."""
    config, folder = read_config(overrides=[*SMALL, short_deal(), *overrides])
    return assemble(config, folder)


@pytest.fixture
def small():
    return small_assembly


@pytest.fixture
def key():
    return jax.random.key(7)
