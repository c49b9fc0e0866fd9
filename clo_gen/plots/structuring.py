"""Picture of a structuring: sizes before and after, and loss probabilities against limits."""

import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal, plain_numbers
from clo_gen.plots.run import COLORS


def sizes(ax, names, before, after):
    """Bars of class sizes, before and after."""
    at = np.arange(len(names))
    ax.bar(at - 0.2, before, 0.4, color="0.75", label="before")
    ax.bar(at + 0.2, after, 0.4, color=COLORS["baseline"], label="after")
    ax.set_xticks(at, names, rotation=45)
    return ax


def against_limits(ax, names, after, errors, limit, paths):
    """Loss probabilities with two standard errors, and each class's limit, percent, log scale.

    Where none of `paths` loses, a hollow marker with an arrow down stands at 3 / paths, which the
    probability is below with 95 % confidence (rule of three): 0 has no place on the axis.
    """
    at = np.arange(len(names))
    after, errors, limit = (100 * np.asarray(x) for x in (after, errors, limit))
    some, style = after > 0, {"fmt": "o", "color": COLORS["baseline"]}
    if some.any():
        ax.errorbar(at[some], after[some], label="after, +- 2 standard errors", **style,
                    yerr=[np.minimum(2 * errors, 0.95 * after)[some], 2 * errors[some]])
    if not some.all():
        bound = np.full((~some).sum(), 300.0 / paths)
        ax.errorbar(at[~some], bound, yerr=0.5 * bound, uplims=True, markerfacecolor="none",
                    label=f"after, 0 of {paths:,} paths: below {bound[0]:.2g} %", **style)
    ax.plot(at, limit, "_", color=COLORS["severely_adverse"], markersize=18, label="limit")
    ax.set_yscale("log")
    plain_numbers(ax.yaxis)
    ax.set_xticks(at, names, rotation=45)
    return ax


@literal
def write_figure(path, report):
    """PNG of structure_job.Report."""
    rows, equity = report.rows, report.equity
    names = [row["class"] for row in rows]
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes(left, [*names, "equity"],
          np.array([*(r["size_before"] for r in rows), equity["equity_size_before"]]) / 1e6,
          np.array([*(r["size_after"] for r in rows), equity["equity_size_after"]]) / 1e6)
    left.set(ylabel=f"{report.currency} millions", title="size")
    left.legend(frameon=False, fontsize=8)
    against_limits(right, names, *([r[key] for r in rows] for key in (
        "loss_probability_after", "error_after", "limit_after")), report.paths)
    right.set(ylabel="% (log)", title="probability of loss, fresh paths")
    right.legend(frameon=False, fontsize=8)
    figure.suptitle(report.title)
    figure.savefig(path, dpi=110)
