"""Does a run that is killed again and again end with the bytes of an uninterrupted one?

    python experiments/kill_resume.py [--kills 50]

SIGKILL, then `clo-gen run --resume`, and so on until the run is complete; then its files are
compared with those of an uninterrupted one (all but timing.json). Three kinds:
each of the STEPS at which files and folders get their names, where the process kills itself; random
moments of its life; and one of two processes that share a run. Expected: 0 files differ.
About 20 minutes on 2 cores.
Measured: docs/runs.md.
"""

import argparse
import importlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

from record import Experiment, figure

from clo_gen.plots.experiment import write_dots

PATHS, BLOCK = 4096, 8  # so many small blocks that most kills fall between them
SETTINGS = ["--set", "tape.synthetic.obligors=24", "--set", f"block={BLOCK}", "--paths", f"{PATHS}",
            "--set", 'scenarios=["baseline","adverse"]']
NOT_COMPARED = {"timing.json"}
STEPS = {  # module, function, whether it dies before, amid or after it, which call of it
    "before there is a draft": ("clo_gen.jobs.start", "claim", "before", 1),
    "the draft has no name yet": ("clo_gen.io.folders", "_write_through", "after", 1),
    "the draft is there": ("clo_gen.jobs.start", "claim", "after", 1),
    "the third block has no name yet": ("numpy", "savez", "after", 3),
    "all blocks are there": ("clo_gen.jobs.run", "write_files", "before", 1),
    "the results are written": ("clo_gen.jobs.run", "write_files", "after", 1),
    "the run has no name yet": ("clo_gen.io.folders", "_write_through", "after", 2),
    "the run is there, with its blocks": ("clo_gen.jobs.run", "publish", "after", 1),
    "amid removing the blocks": ("shutil", "rmtree", "amid", 1),
}


def die(function, when, call):
    """`function`, under which the process kills itself at the given call; "amid": of removing a
    folder that holds something."""
    calls = []

    def dying(*args, **options):
        files = ([p for p in pathlib.Path(args[0]).rglob("*") if p.is_file()] if when == "amid"
                 else [args])
        calls.extend(files[:1])
        if len(calls) < call:
            return function(*args, **options)
        if when == "after":
            function(*args, **options)
        elif when == "amid":
            files[0].unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    return dying


def die_at(step, arguments):
    """The command line in this process, which dies at the step."""
    module, name, when, call = STEPS[step]
    module = importlib.import_module(module)
    setattr(module, name, die(getattr(module, name), when, call))
    from clo_gen.cli import main

    sys.argv = ["clo-gen", "run", *arguments]
    main()


def command(folder, *arguments, step=None):
    """A started `clo-gen run`, which dies at the step."""
    program = ["-m", "clo_gen", "run"] if step is None else [__file__, "--die-at", step, "--"]
    return subprocess.Popen([sys.executable, *program, *arguments], cwd=folder,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def how_to_go_on(out, settings):
    """Arguments that begin a run, or go on with what a killed one left."""
    draft = out.with_name(out.name + ".partial")
    begun = (draft / "manifest.json").exists() or (out / "summary.json").exists()
    return ["--resume", out.name] if begun else ["--out", out.name, *settings]


def go_on(out, settings):
    """Contents of the run folder `out`, begun or gone on with, once it is complete."""
    complete = (out / "summary.json").exists()  # killed while it tidied up
    process = command(out.parent, *how_to_go_on(out, settings))
    complaint = process.communicate()[1]
    if process.returncode != (2 if complete else 0) or (out / "blocks").exists():
        sys.exit(f"{out}: exit code {process.returncode}: {complaint}")
    return contents(out)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and p.name not in NOT_COMPARED}


def differing(mine, whole):
    return sum(mine.get(k) != whole.get(k) for k in {*mine, *whole})


def killed_at_step(out, step, settings):
    """Contents of a run that was killed at the step, and gone on with."""
    process = command(out.parent, "--out", out.name, *settings, step=step)
    complaint = process.communicate()[1]
    if process.returncode != -signal.SIGKILL:
        sys.exit(f"{step}: did not come so far: exit code {process.returncode}: {complaint}")
    return go_on(out, settings)


def one_of_two(out, settings, stop, victim, blocks=3):
    """(exit codes, what was said, seconds until both had ended) of two processes that share a run,
    of which one gets the signal `stop` when there are some blocks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [command(out.parent, *how_to_go_on(out, settings), "--coordinator", f"127.0.0.1:{port}",
                    "--process-id", str(i), "--num-processes", "2") for i in range(2)]
    draft = out.with_name(out.name + ".partial")
    while len(list(draft.rglob("*.npz"))) < blocks and all(p.poll() is None for p in both):
        time.sleep(0.02)
    both[victim].send_signal(stop)
    start = time.monotonic()
    said = [p.communicate()[1] for p in both]
    return [p.returncode for p in both], said, time.monotonic() - start


def at_random(folder, settings, kills, draw, life, whole):
    """(kills before, between and after the blocks, runs complete, files that differ)."""
    found, runs, wrong = [0, 0, 0], 0, 0
    while sum(found) < kills:
        out = folder / f"run{runs}"
        process = command(folder, *how_to_go_on(out, settings))
        try:
            complaint = process.communicate(timeout=draw.uniform(0.0, life))[1]
            if process.returncode:
                sys.exit(f"exit code {process.returncode}: {complaint}")
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            there = len(list(folder.rglob(f"{out.name}.partial/blocks/*/*.npz")))
            found[(there > 0) + (there == 2 * PATHS // BLOCK)] += 1
        if (out / "summary.json").exists():
            if (out / "blocks").exists():
                go_on(out, settings)
            wrong += differing(contents(out), whole)
            runs += 1
            print(f"{sum(found)} kills, {runs} runs complete, {wrong} files differ", flush=True)
    return found, runs, wrong


if __name__ == "__main__":
    experiment = Experiment(__doc__, kills=(50, 1), steps=(len(STEPS), 1))
    argument = experiment.parser.add_argument
    argument("--seed", type=int, default=0)
    argument("--die-at", choices=STEPS, help=argparse.SUPPRESS)
    argument("arguments", nargs="*", help=argparse.SUPPRESS)
    options = experiment.options()
    if options.die_at:
        die_at(options.die_at, options.arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "cache"))
        go_on(folder / "first", SETTINGS)  # fills the compilation cache
        start = time.monotonic()
        whole = go_on(folder / "whole", SETTINGS)
        life = time.monotonic() - start
        rows = []
        for number, step in enumerate(list(STEPS)[:options.steps]):
            wrong = differing(killed_at_step(folder / f"step{number}", step, SETTINGS), whole)
            rows.append({"killed": step, "kills": 1, "differing": wrong})
            print(f"killed where {step}: {wrong} of {len(whole)} files differ", flush=True)
        for victim in (0, 1):
            out = folder / f"victim{victim}"
            codes, _, seconds = one_of_two(out, SETTINGS, signal.SIGKILL, victim)
            wrong = differing(go_on(out, SETTINGS), whole)
            rows.append({"killed": f"process {victim} of 2", "kills": 1, "differing": wrong})
            print(f"process {victim} of 2 killed: exit codes {codes} after {seconds:.0f} s, "
                  f"{wrong} of {len(whole)} files differ", flush=True)
        found, runs, wrong = at_random(folder, SETTINGS, options.kills, random.Random(options.seed),
                                       life, whole)
        print(f"{sum(found)} kills at random moments ({found[0]} before the first block, "
              f"{found[1]} between blocks, {found[2]} after the last), {runs} runs came to their "
              f"end, {wrong} of {runs * len(whole)} files differ; an undisturbed run takes "
              f"{life:.1f} s")
    rows.append({"killed": "at random moments", "kills": sum(found), "differing": wrong})
    experiment.keep(
        [figure("files that differ", sum(row["differing"] for row in rows), high=0),
         figure("kills", sum(row["kills"] for row in rows)),
         figure("of them between blocks", found[1])],
        rows, lambda path: write_dots(path, "Files that differ from an uninterrupted run", [
            ("by where the process was killed", "files", [row["killed"] for row in rows],
             {"": [row["differing"] for row in rows]})]))
