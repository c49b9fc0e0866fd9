"""Pictures of a backtest: arrays -> axes. Only `write_figure` makes a figure and a file."""

import numpy as np
from matplotlib.figure import Figure

from clo_gen.evaluate.backtest import intervals, var_of
from clo_gen.plots.names import literal
from clo_gen.plots.run import COLORS
from clo_gen.risk import pit


def counts_against_var(ax, observed, expected, var, label):
    """Defaults [T] by period as bars, the forecast's mean and its VaR [T]; exceptions in red."""
    x = np.arange(len(observed))
    ax.bar(x, observed, color=np.where(observed > var, COLORS["severely_adverse"], "0.75"),
           width=0.8)
    ax.plot(x, expected, color=COLORS["baseline"], linewidth=1.2, label="expected")
    ax.step(x, var, where="mid", color="0.2", linewidth=1.0, label=label)
    return ax


def pit_histogram(ax, heights):
    """Histogram [B] of transforms; 1 everywhere is a right forecast."""
    bins = len(heights)
    ax.bar((np.arange(bins) + 0.5) / bins, heights, width=1.0 / bins, color=COLORS["baseline"],
           alpha=0.6, edgecolor="white")
    ax.axhline(1.0, color="0.2", linewidth=0.9, linestyle=":")
    return ax


@literal
def write_figure(path, forecasts, level, most=6):
    """PNG: what came against the forecast and its VaR, and the transforms, a row a forecast."""
    shown = forecasts[:most]
    figure = Figure(figsize=(11, 2.3 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(3, 1))
    for (left, right), f in zip(axes, shown, strict=True):
        expected = [m @ np.arange(len(m)) for m in f.masses]
        counts_against_var(left, f.observed, expected, var_of(f, level), f"VaR {level:.0%}")
        ticks = np.unique(np.linspace(0, len(f.periods) - 1, min(len(f.periods), 8)).astype(int))
        left.set_xticks(ticks, [f.periods[t] for t in ticks], fontsize=7)
        left.set_title(f"{f.data}: {f.model}", fontsize=9)
        left.set_ylabel("defaults", fontsize=8)
        pit_histogram(right, pit.histogram(*intervals(f), 5))
        right.set_title("transforms (1 is right)", fontsize=9)
    axes[0, 0].legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=110)
