"""The benchmark: every case in a process of its own, so that peak memory and compiling are its own.

A case that fails is a row with its error; the others go on.
"""

import json
import math
import subprocess
import sys

from clo_gen.bench import measure
from clo_gen.bench.cases import CASES, GROWTH
from clo_gen.io.folders import choose_folder
from clo_gen.io.problems import InputError
from clo_gen.plots import bench as plot


def chosen(text, scale):
    """Case names of a text "a,b"; without it all that are large enough at `scale`.

    Raises InputError with every unknown name.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"--scale {scale}: want a number above 0")
    if text is None:
        return [name for name, case in CASES.items() if scale >= case.from_scale]
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    known = CASES | GROWTH
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(f"--cases: {', '.join(unknown) or 'empty'}; want some of "
                         f"{', '.join(known)}")
    return names


def bench_job(cases=None, scale=1.0, out=None, *, growth=False,
              on_case=lambda number, total, name: None, on_row=lambda row: None):
    """Rows [dict] of the `cases` (text "a,b"; None: all, or none beside `growth`), in order.

    With `growth` those of GROWTH come last. `out` is a folder for bench.jsonl, a line as soon as a
    case is done, bench.png and bench_growth.png. Raises InputError for unknown names and an `out`
    that is in use.
    """
    names = [] if growth and cases is None else chosen(cases, scale)
    if growth:
        chosen(None, scale)  # judges the scale
        names = [n for n in names if n not in GROWTH] + list(GROWTH)
    if out is not None:
        out = choose_folder("bench", out)
        out.mkdir(parents=True, exist_ok=True)
    rows = []
    try:
        for number, name in enumerate(names):
            on_case(number + 1, len(names), name)
            rows.append(measured(name, scale))
            on_row(rows[-1])
            if out is not None:
                with open(out / "bench.jsonl", "a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the cases before it are in " + str(out / "bench.jsonl")
                                if out is not None and rows else "") from None
    if out is not None:
        _draw(rows, growth, out)
    return rows


def _draw(rows, growth, out):
    good = [row for row in rows if "error" not in row]
    if good:
        plot.write_figure(out / "bench.png", good)
    if growth and grown(rows):
        plot.write_growth(out / "bench_growth.png", grown(rows))


def _command(name, scale):
    return [sys.executable, "-m", "clo_gen.bench", name, "--scale", str(scale)]


def measured(name, scale):
    """The row of one case, measured in a process of its own; {"case", "error", ...} if it fails."""
    done = subprocess.run(_command(name, scale), capture_output=True, text=True)
    failed = {"case": name, **measure.where()}
    if done.returncode < 0:
        return failed | {"error": f"killed by signal {-done.returncode}"}
    if done.returncode > 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return failed | {"error": said[-1][:500]}
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return failed | {"error": "printed no row"}


def grown(rows):
    """[{"label", "time", "memory", "temporaries"}]: what 10 times the paths and the loans cost, as
    multiples of the first case of GROWTH; [] where one of them is missing or failed."""
    found = {row["case"]: row for row in rows if row["case"] in GROWTH and "error" not in row}
    if len(found) < len(GROWTH):
        return []
    base = found["growth"]

    def multiple(row, field):
        return row[field] / base[field] if row[field] and base[field] else math.nan

    return [{"label": GROWTH[name].about, "time": multiple(row, "median_s"),
             "memory": multiple(row, "peak_mb"), "temporaries": multiple(row, "temporaries_mb"),
             "peak_mb": row["peak_mb"], "median_s": row["median_s"]}
            for name, row in found.items()]
