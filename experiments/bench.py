"""How fast is each stage, and what do ten times the paths or loans cost?

    python experiments/bench.py [--cases run-1k,waterfall] [--scale 1.0] [--out FOLDER] [--growth]

The same as `clo-gen bench` (`--list` names the cases, clo_gen/bench/ has them): compile time apart
from the median of 5 runs, rate and peak memory, each case in a process of its own. Expected on 2
cores: markov at least 30 million loan-months a second with macro, factors, cash and recovery lags
included; --growth 8 to 12 times the time in the same memory. BENCHMARKS.md holds the figures.
"""

import sys

from clo_gen.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "bench")
    main()
