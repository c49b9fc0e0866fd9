"""Imports only go down a layer, and importing the package changes nothing global."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "clo_gen"
TIERS = (  # from the ground up
    ("records", "states", "numerics", "rng", "mesh", "solve", "scores"),
    ("models", "cash", "deal", "risk"),
    ("pipeline", "io"),
    ("learned", "provenance", "gradients"),
    ("assembly", "break_even", "explain", "outcomes"),
    ("analysis", "chart_data", "hypo", "macro_model", "report", "summary", "train"),
    ("evaluate",),
    ("levels", "plots"),
    ("terminal",),
    ("jobs",),
    ("bench", "runs"),
    ("cli",), ("__main__",), ("__init__",),
)
LAYER = {part: number for number, tier in enumerate(TIERS) for part in tier}


def part_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imported_parts(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clo_gen"):
            parts = node.module.split(".")[1:]
            yield from ([parts[0]] if parts else [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("clo_gen."):
                    yield alias.name.split(".")[1]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_imports_go_down(path):
    here = part_of(path)
    for there in imported_parts(path):
        if there in LAYER and there != here:
            assert LAYER[there] < LAYER[here], f"{path.name} imports {there}"


@pytest.mark.parametrize("name,folder", [("jaxopt", "solve"), ("pandas", "io"),
                                         ("matplotlib", "plots")])
def test_libraries_stay_in_their_place(name, folder):
    allowed = {folder}
    if name == "pandas":
        allowed |= {"summary", "evaluate", "train", "assembly", "hypo", "jobs", "macro_model",
                    "analysis", "runs"}
    for path in PACKAGE.rglob("*.py"):
        if f"import {name}" in path.read_text() or f"from {name}" in path.read_text():
            assert part_of(path) in allowed, path


def test_import_changes_nothing_global():
    code = ("import jax; before = dict(jax.config.values); import clo_gen; "
            "[getattr(clo_gen, name) for name in clo_gen.__all__]; "
            "assert dict(jax.config.values) == before; "
            "assert not jax._src.xla_bridge._backends, 'a backend was started'")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
