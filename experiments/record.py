"""What every experiment shares: its options, and the folder that it leaves behind.

    experiment = Experiment(__doc__, paths=(512, 64))      # default, and size of --small
    options = experiment.options()
    ...
    experiment.keep([figure("mean loss", value, high=0.02)], rows, draw)

The folder (--out, else runs/experiment-NAME) has summary.json, table.csv and figure.png; `clo-gen
compare` collects such folders. Exit code 1 when a figure misses what was expected, except with
--small: expectations are those of the full size.
"""

import argparse
import math
import pathlib
import sys
import time

import pandas as pd

from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import InputError


def figure(name, value, low=None, high=None):
    """A measured figure and the bounds that it is expected to keep (None: no bound)."""
    value = float(value)
    holds = not math.isnan(value) and (low is None or value >= low) and (
        high is None or value <= high)
    return {"figure": name, "value": value, "low": low, "high": high,
            "holds": None if low is None and high is None else holds}


class Experiment:
    """One script: `doc` is its docstring, `sizes` {option: (default, size of --small)}."""

    def __init__(self, doc, **sizes):
        self.name, self.question = pathlib.Path(sys.argv[0]).stem, doc.split("\n\n")[0]
        self.sizes = sizes
        self.parser = argparse.ArgumentParser(
            description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.parser.add_argument("--small", action="store_true", help="sizes of a smoke test")
        self.parser.add_argument("--out", type=pathlib.Path, help="folder to write")
        for name, (default, small) in sizes.items():
            self.parser.add_argument(f"--{name.replace('_', '-')}", type=type(small),
                                     help=f"{default}; with --small {small}")

    def options(self):
        """The command line; sizes that it does not give are the default's or --small's."""
        self.given = self.parser.parse_args()
        for name, (default, small) in self.sizes.items():
            if getattr(self.given, name) is None:
                setattr(self.given, name, small if self.given.small else default)
        try:
            self.out = choose_folder(f"experiment-{self.name}", self.given.out)
        except InputError as error:
            sys.exit(str(error))
        self.start = time.perf_counter()
        return self.given

    def keep(self, figures, rows, draw):
        """Writes figures and rows (dicts), and the picture by draw(path); prints what was expected.

        Ends the process with code 1 where a figure of the full size misses.
        """
        with new_folder(self.out) as draft:
            write_json(draft / "summary.json", {
                "experiment": self.name, "question": self.question, "small": self.given.small,
                "command": " ".join(["python", f"experiments/{self.name}.py", *sys.argv[1:]]),
                "seconds": time.perf_counter() - self.start, "figures": figures})
            pd.DataFrame(rows).to_csv(draft / "table.csv", index=False)
            draw(draft / "figure.png")
        print(f"\n{'figure':<58}{'value':>12}{'expected':>22}")
        for f in figures:
            bounds = {(True, True): "", (False, True): f"at least {f['low']}",
                      (True, False): f"at most {f['high']}",
                      (False, False): f"{f['low']} to {f['high']}"}
            print(f"{f['figure']:<58}{f['value']:>12.5g}"
                  f"{bounds[f['low'] is None, f['high'] is None]:>22}"
                  + ("   MISSED" if f["holds"] is False else ""))
        print(f"written to {self.out}")
        if not self.given.small and any(f["holds"] is False for f in figures):
            sys.exit(1)
