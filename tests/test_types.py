"""Public functions say the types of all arguments and results; mypy finds no error."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "clo_gen"
TYPED = ("cash", "deal", "explain", "hypo", "models", "risk", "solve")


def public_files():
    """Modules that a public name comes from."""
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    return {PACKAGE / f"{node.module.replace('.', '/')}.py" for node in stub.body
            if isinstance(node, ast.ImportFrom) and node.module}


def functions(path):
    """Public functions of a module and methods of its public classes."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (f for f in node.body if isinstance(f, ast.FunctionDef)
                        and not f.name.startswith("_"))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def lacking(f):
    a = f.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    names = [x.arg for x in every if x.annotation is None and x.arg not in ("self", "cls")]
    return names + ([] if f.returns else ["the result"])


@pytest.mark.parametrize("path", sorted(public_files() | {
    path for part in TYPED for path in (PACKAGE / part).glob("*.py")} | {
    PACKAGE / f"{name}.py" for name in ("records", "states", "numerics", "rng", "outcomes",
                                        "break_even")}), ids=lambda p: p.stem)
def test_public_functions_are_annotated(path):
    found = {f.name: lacking(f) for f in functions(path) if lacking(f)}
    assert not found


@pytest.mark.slow
def test_mypy_finds_no_error():
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
