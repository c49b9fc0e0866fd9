"""Picture of a structuring: sizes before and after, and loss probabilities against limits."""

import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.run import COLORS


def sizes(ax, names, before, after):
    """Bars of class sizes in millions, before and after."""
    at = np.arange(len(names))
    ax.bar(at - 0.2, before, 0.4, color="0.75", label="before")
    ax.bar(at + 0.2, after, 0.4, color=COLORS["baseline"], label="after")
    ax.set_xticks(at, names, rotation=45)
    return ax


def against_limits(ax, names, after, errors, limit):
    """Loss probabilities with two standard errors, and each class's limit, percent, log scale."""
    at = np.arange(len(names))
    after, errors, limit = (100 * np.asarray(x) for x in (after, errors, limit))
    shown = np.maximum(after, 1e-3)
    ax.errorbar(at, shown, yerr=[np.minimum(2 * errors, shown - 5e-4), 2 * errors], fmt="o",
                color=COLORS["baseline"], label="after, +- 2 standard errors")
    ax.plot(at, limit, "_", color=COLORS["severely_adverse"], markersize=18, label="limit")
    ax.set_yscale("log")
    ax.set_xticks(at, names, rotation=45)
    return ax


def write_figure(path, report):
    """PNG of structure_job.Report."""
    rows, equity = report.rows, report.equity
    names = [row["class"] for row in rows]
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes(left, [*names, "equity"],
          np.array([*(r["size_before"] for r in rows), equity["equity_size_before"]]) / 1e6,
          np.array([*(r["size_after"] for r in rows), equity["equity_size_after"]]) / 1e6)
    left.set(ylabel="millions", title="size")
    left.legend(frameon=False, fontsize=8)
    against_limits(right, names, *([r[key] for r in rows] for key in (
        "loss_probability_after", "error_after", "limit_after")))
    right.set(ylabel="% (log; 0.001 stands for 0)", title="probability of loss, fresh paths")
    right.legend(frameon=False, fontsize=8)
    figure.suptitle(report.title)
    figure.savefig(path, dpi=110)
