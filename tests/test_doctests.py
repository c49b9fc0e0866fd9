"""The examples of docstrings run as they stand, and every public name has one."""

import doctest
import importlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import clo_gen as cg
from clo_gen.jobs import train

ROOT = pathlib.Path(__file__).parent.parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
SLOW = {"gradient", "generate_conditional", "hypo_pool_discrete_constraints",
        "hypo_pool_formula_constraints", "read_macro_model", "run", "simulate", "simulate_batch"}


def examples():
    """Doctests of all modules that have an example, those that compile for long marked slow."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for path in sorted((ROOT / "clo_gen").rglob("*.py")):
        if ">>> " not in path.read_text():
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for test in finder.find(importlib.import_module(name), name):
            if test.examples:
                slow = test.name.rpartition(".")[2] in SLOW
                yield pytest.param(test, id=test.name.removeprefix("clo_gen."),
                                   marks=pytest.mark.slow if slow else ())


@pytest.fixture(scope="module")
def assembly():
    return cg.assemble(*cg.read_config(overrides=[
        "tape.synthetic.obligors=24", "deal=deals/static_amortising.toml"]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with runs/stage1: level 1, trained for a few seconds."""
    folder = tmp_path_factory.mktemp("trained")
    config, run = train.prepare(ROOT / "configs" / "train_smoke.toml", folder / "runs" / "stage1",
                                None, [])
    train.train_job(config, ["macro"], run)
    return folder


@pytest.mark.parametrize("test", list(examples()))
def test_example(test, assembly, tmp_path, monkeypatch, capsys, request):
    on_trained = "runs/stage1" in test.docstring
    monkeypatch.chdir(request.getfixturevalue("trained") if on_trained else ROOT)
    test.globs = {"cg": cg, "jax": jax, "jnp": jnp, "np": np, "pd": pd, "a": assembly,
                  "tmp": tmp_path}
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test)
    assert not failed, capsys.readouterr().out


def test_every_public_function_has_an_example():
    public = [getattr(cg, name) for name in cg.__all__]
    functions = [f for f in public if callable(f) and not isinstance(f, type)]
    assert len(functions) > 12
    assert not [f.__name__ for f in functions if ">>> " not in (f.__doc__ or "")]
