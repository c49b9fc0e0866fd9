"""Pictures of the benchmark: rates and memory of the cases; what ten times the work costs."""

import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal, plain_numbers
from clo_gen.plots.run import COLORS


def bars(ax, names, values, texts, color):
    """A bar for each of the `names`, first on top, with its text beside it."""
    at = np.arange(len(names))[::-1]
    ax.barh(at, values, color=color, height=0.7)
    ax.set_yticks(at, names, fontsize=7)
    for y, value, text in zip(at, values, texts, strict=True):
        ax.text(value, y, f" {text}", va="center", fontsize=6.5)
    ax.set_ylim(-0.6, len(names) - 0.4)
    return ax


def _rate(row):
    x = row["per_s"]
    number = (f"{x / 1e6:,.3g} million" if x >= 1e6 else f"{x:,.0f}" if x >= 1e3 else f"{x:.3g}")
    return f"{number} {row['unit']}/s"


@literal
def write_figure(path, rows):
    """PNG of rows without errors: rate of each case and the most memory its process held."""
    figure = Figure(figsize=(11, 1.2 + 0.24 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [row["case"] for row in rows]
    bars(left, names, [row["per_s"] for row in rows],
         [_rate(row) for row in rows], COLORS["baseline"])
    left.set(title="rate (units differ)", xlabel="a second (log)", xscale="log",
             xlim=(0.1, 1e4 * max(row["per_s"] for row in rows)))  # room for the texts
    plain_numbers(left.xaxis)
    held = [row for row in rows if row["peak_mb"]]
    bars(right, [row["case"] for row in held], [row["peak_mb"] for row in held],
         [f"{row['peak_mb']:,}" for row in held], "0.7")
    right.set(title="most memory of the process, compiling included", xlabel="MB")
    right.margins(x=0.12)
    figure.suptitle(f"{rows[-1]['machine']}, jax {rows[-1]['jax']}, commit {rows[-1]['commit']}",
                    fontsize=10)
    figure.savefig(path, dpi=110)


@literal
def write_growth(path, grown):
    """PNG of suite.grown: time and memory as multiples of the first, 8 to 12 times shaded."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    names, at = [row["label"] for row in grown], np.arange(len(grown))
    left.axhspan(8, 12, color="0.9", label="8 to 12 times")
    left.bar(at, [row["time"] for row in grown], 0.6, color=COLORS["baseline"])
    for x, row in zip(at, grown, strict=True):
        left.text(x, row["time"], f"{row['time']:.1f}", ha="center", va="bottom")
        right.text(x, row["peak_mb"], f"{row['peak_mb']:,}", ha="center", va="bottom")
    left.set(title="time, multiples of the first")
    left.legend(frameon=False, fontsize=8)
    right.bar(at, [row["peak_mb"] for row in grown], 0.6, color="0.7")
    right.set(title="most memory of the process", ylabel="MB")
    for ax in (left, right):
        ax.set_xticks(at, names, fontsize=8)
        ax.margins(y=0.15)
    figure.savefig(path, dpi=110)
