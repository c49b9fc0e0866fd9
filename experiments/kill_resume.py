"""Does a run that is killed again and again end with the bytes of an uninterrupted one?

    python experiments/kill_resume.py [--kills 50]

Starts `clo-gen run`, kills it (SIGKILL) at a random moment of its life, resumes it, kills it again,
and so on; whenever a run comes to its end its files are compared with those of an uninterrupted
one (all but timing.json and report.html), and the next run starts. Expected: 0 files differ.
About 10 minutes on 2 cores.
"""

import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

PATHS, BLOCK = 4096, 8  # so many small blocks that most kills fall between them
SETTINGS = ["--set", "tape.synthetic.obligors=24", "--set", f"block={BLOCK}", "--paths", f"{PATHS}",
            "--set", 'scenarios=["baseline","adverse"]']
NOT_COMPARED = {"timing.json", "report.html"}


def command(folder, *arguments):
    return subprocess.Popen([sys.executable, "-m", "clo_gen", "run", *arguments], cwd=folder,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()
            if p.is_file() and p.name not in NOT_COMPARED}


def finished(process):
    complaint = process.communicate()[1]
    if process.returncode:
        sys.exit(f"exit code {process.returncode}: {complaint}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "cache"))
        finished(command(folder, "--out", "first", *SETTINGS))  # fills the compilation cache
        start = time.monotonic()
        finished(command(folder, "--out", "whole", *SETTINGS))
        life = time.monotonic() - start
        whole = contents(folder / "whole")
        kills = runs = differing = 0
        found = {"before the first block": 0, "between blocks": 0, "after the last": 0}
        while kills < options.kills:
            out, blocks = folder / f"run{runs}", folder / f"run{runs}.partial" / "blocks"
            where = ["--resume", out.name] if (out.with_name(out.name + ".partial")
                                               / "manifest.json").exists() else [
                                                   "--out", out.name, *SETTINGS]
            process = command(folder, *where)
            try:
                process.wait(draw.uniform(0.0, 1.0 * life))
                finished(process)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                there = len(list(blocks.rglob("*.npz")))
                found["before the first block" if not there else "after the last"
                      if there == 2 * PATHS // BLOCK else "between blocks"] += 1
            if (out / "summary.json").exists():
                mine = contents(out)
                differing += sum(mine.get(k) != whole.get(k) for k in {*mine, *whole})
                runs += 1
                print(f"{kills} kills, {runs} runs complete, {differing} files differ", flush=True)
        print(f"{options.kills} kills ({found}), {runs} runs came to their end, {differing} of "
              f"{runs * len(whole)} files differ; an undisturbed run takes {life:.1f} s")
