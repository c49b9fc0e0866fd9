"""What is built from a clone: an sdist, and a wheel with its data that runs on its own."""

import os
import pathlib
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile

import pytest

import clo_gen

ROOT = pathlib.Path(__file__).parent.parent


def shell(*words, **options):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with the sdist, and the wheel that is built from it."""
    out = tmp_path_factory.mktemp("dist")
    shell(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT)
    return out


@pytest.mark.slow
def test_the_wheel_has_data_and_licences_and_no_tests(built):
    (wheel,) = built.glob("clo_gen-*.whl")
    assert wheel.name.startswith(f"clo_gen-{clo_gen.__version__}-py3-none-any")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("clo_gen/configs/quickstart.toml", "clo_gen/configs/deals/us_bsl.toml",
                   "clo_gen/data/NOTICE", "clo_gen/data/macro_monthly_1959_2026.csv"):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("clo_gen/", "clo_gen-"))]
    assert wheel.stat().st_size < 5_000_000


@pytest.mark.slow
def test_the_sdist_holds_what_the_readme_names(built):
    (sdist,) = built.glob("clo_gen-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    for wanted in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "clo_gen/__init__.py",
                   "configs/smoke.toml", "experiments/bench.py", "tests/conftest.py"):
        assert wanted in names
    assert not [name for name in names if name.startswith((".venv", "runs/", ".git/"))]


@pytest.mark.slow
def test_the_wheel_runs_where_no_clone_is(built, tmp_path):
    """The libraries are those of this environment; clo_gen is the wheel's."""
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    (packages,) = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    here = next(p for p in map(pathlib.Path, sys.path) if (p / "jax").is_dir())
    (packages / "libraries.pth").write_text(f"{here}\n")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    python = home / "bin" / "python"
    where = shell(python, "-c", "import clo_gen; print(clo_gen.__file__)", cwd=tmp_path,
                  env=environment)
    assert str(home) in where
    shell(python, "-m", "clo_gen", "init", "my-deal", cwd=tmp_path, env=environment)
    shell(python, "-m", "clo_gen", "run", "config.toml", "--paths", "8", "--set",
          'scenarios=["adverse"]', "--out", "out", cwd=tmp_path / "my-deal", env=environment)
    assert (tmp_path / "my-deal" / "out" / "report.html").stat().st_size > 10_000


def test_there_is_one_version_and_a_changelog_of_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project and project["dynamic"] == ["version"]
    assert f"## {clo_gen.__version__} " in (ROOT / "CHANGELOG.md").read_text() + " "
    # Ranges are bounded or at least have a floor.
    assert all(any(c in d for c in "<>=") for d in project["dependencies"])
    assert {"test", "vendor-data"} <= set(project["optional-dependencies"])
