"""Picture of a tail study: the pool's loss curve and each number, plain beside tilted."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal, plain_numbers

PLAIN, TILTED = "0.55", "#b8412f"


def loss_curve(ax, curves, level):
    """P(loss > x) of the pool with 95 % bands, on a logarithmic scale."""
    x = 100 * curves["loss"]
    for name, color in (("plain", PLAIN), ("tilted", TILTED)):
        value, half = curves[name], curves[f"{name}_half"]
        seen = value > 0
        ax.fill_between(x[seen], np.maximum(value - half, 1e-12)[seen], (value + half)[seen],
                        color=color, alpha=0.25, linewidth=0)
        ax.plot(x[seen], value[seen], color=color, linewidth=1.4, label=name)
    ax.axhline(1 - level, color="0.3", linestyle=":", linewidth=0.9)
    least = min(curves[name][curves[name] > 0].min() for name in ("plain", "tilted"))
    ax.set(yscale="log", ylim=(max(least / 2, 1e-8), 1.0), xlabel="loss of the pool, % of par",
           ylabel="probability of a larger loss")
    plain_numbers(ax.yaxis)
    ax.legend(fontsize=8, frameon=False)
    return ax


def intervals(ax, rows):
    """95 % intervals of each number over its tilted value."""
    for n, row in enumerate(rows):
        unit = abs(row["tilted"]) or 1.0
        for name, color, move in (("plain", PLAIN, 0.14), ("tilted", TILTED, -0.14)):
            ax.errorbar(row[name] / unit, n + move, xerr=row[f"{name}_half_width"] / unit,
                        fmt="o", markersize=4, capsize=3, color=color)
    ax.axvline(1.0, color="0.8", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(rows)), [row["number"] for row in rows])
    ax.invert_yaxis()
    ax.set_xlabel("value and 95 % interval over the tilted value")
    return ax


@literal
def write_figure(path, report):
    """PNG of jobs.tail.Report."""
    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False,
                                "axes.titlesize": 10, "axes.labelsize": 8,
                                "xtick.labelsize": 8, "ytick.labelsize": 8}):
        figure = Figure(figsize=(11, 4), layout="constrained")
        curve, bars = figure.subplots(1, 2)
        loss_curve(curve, report.curves, report.summary["request"]["level"])
        intervals(bars, report.rows)
        figure.suptitle(report.title, fontsize=10)
        figure.savefig(path, dpi=110)
