"""`python -m clo_gen.bench CASE --scale 1.0`: measures one case and prints its row as JSON."""

import argparse
import json
import tempfile

import jax

from clo_gen.bench import measure
from clo_gen.bench.cases import CASES, GROWTH


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=[*CASES, *GROWTH])
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    measure.set_up()
    # A cached program would hide what compiling costs.
    jax.config.update("jax_enable_compilation_cache", False)
    case = (CASES | GROWTH)[options.case]
    with tempfile.TemporaryDirectory(prefix="clo_gen_bench_") as folder:
        row = measure.row(options.case, case.build(options.scale, folder))
    print(json.dumps(row))


if __name__ == "__main__":
    main()
