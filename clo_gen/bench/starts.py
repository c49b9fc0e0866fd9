"""Cases of start-up: a fresh process of Python each time, from start to end."""

import subprocess
import sys

from clo_gen.bench.measure import Work


def process(scale, folder, *, arguments):
    """`python ARGUMENTS`, started and ended."""
    def run():
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    # The memory is that of another process than the one that asks, so the row's is of no use.
    return Work(run=run, unit="starts", work=1, sizes={"command": " ".join(arguments)},
                dtype="none", compile_s=0.0, more={"peak_mb": None})
