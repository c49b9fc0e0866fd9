"""`clo-gen init`: what it writes is judged like any user's files, and runs."""

import subprocess
import sys

import numpy as np
import pytest

from clo_gen.assembly import assemble
from clo_gen.io.config import read_config
from clo_gen.io.problems import InputError
from clo_gen.jobs.init import OBLIGORS, init_job


def test_the_folder_assembles_and_says_what_is_synthetic(tmp_path):
    files = init_job(tmp_path / "my-deal")
    assert sorted(p.name for p in (tmp_path / "my-deal").iterdir()) == files
    config, folder = read_config(tmp_path / "my-deal" / "config.toml", ["paths=8"])
    a = assemble(config, folder)
    assert config.name == "my-deal" and config.tape.synthetic is None
    assert len(a.tape.frame) == OBLIGORS
    assert a.provenance["tape"]["kind"] == "synthetic" and a.provenance["deal"]["kind"] == "user"
    np.testing.assert_allclose(a.inputs.tape.balance.sum(), 1.0, rtol=1e-6)
    readme = (tmp_path / "my-deal" / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in files if name != "README.md")


def test_nothing_is_overwritten_and_names_are_judged(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "tape.csv").write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        init_job(tmp_path / "mine")
    assert (tmp_path / "mine" / "tape.csv").read_text() == "precious"
    with pytest.raises(InputError, match="want a name of letters"):
        init_job(tmp_path / "two words")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written|exists already"):
        init_job(tmp_path / "file" / "sub")


@pytest.mark.slow
def test_the_commands_of_its_readme_run(tmp_path):
    def clo_gen(*arguments, cwd):
        return subprocess.run([sys.executable, "-m", "clo_gen", *arguments], cwd=cwd,
                              capture_output=True, text=True)

    assert clo_gen("init", "my-deal", cwd=tmp_path).returncode == 0
    done = clo_gen("run", "config.toml", "--paths", "8", cwd=tmp_path / "my-deal")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "my-deal" / "runs" / "my-deal" / "report.html").exists()
    assert clo_gen("deal", "check", "deal.toml", cwd=tmp_path / "my-deal").returncode == 0
