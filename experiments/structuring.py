"""How much equity IRR do the ratings' loss limits leave, and what does each of them cost?

    python experiments/structuring.py [config.toml] [--paths 512]

A few minutes on 2 cores with the quickstart, most of it compiling. It structures the deal at three
slopes of the spread curve. Expected figure: on fresh paths every class keeps to its limit within
two standard errors, and a steeper curve, which asks more of a class that gives up enhancement,
leaves less IRR wherever limits allow more debt than there was.
"""

import argparse

import jax

jax.config.update("jax_enable_x64", True)

from clo_gen.assembly import assemble  # noqa: E402
from clo_gen.io.config import read_config  # noqa: E402
from clo_gen.jobs.structure import Request, structure  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("config", nargs="?")
parser.add_argument("--paths", type=int, default=512)
parser.add_argument("--checks", type=int, default=2048)
parser.add_argument("--set", action="append", default=[])
options = parser.parse_args()

a = assemble(*read_config(options.config, options.set))
for slope in (0.0, 3.0, 10.0):
    found = structure(a, Request(paths=options.paths, checks=options.checks, spread_slope=slope))
    print(f"\nspread slope {slope:g}: {found.title}")
    for r in found.rows:
        print(f"{r['class']:<6}{r['rating']:<6}{r['size_before'] / 1e6:8.1f} > "
              f"{r['size_after'] / 1e6:6.1f}   {r['spread_before'] * 1e4:5.0f} > "
              f"{r['spread_after'] * 1e4:4.0f} bp   {r['loss_probability_before']:7.2%} > "
              f"{r['loss_probability_after']:6.2%} +- {r['error_after']:.2%}   limit "
              f"{r['limit_after']:.3%}")
    print("\n".join(found.notes[:5]), found.notes[-1], sep="\n")
