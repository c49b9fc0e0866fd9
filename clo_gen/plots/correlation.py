"""Picture of a correlation study: variance by source, default correlation beside a copula."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal

SHADES = ("#3b6ea5", "#d8a03d", "#5d8a4a", "0.6")


def variance_bars(ax, names, columns):
    """Stacked bars of shares in percent; `columns` = [(label, shares [4], errors [4] or None)]."""
    for x, (_, shares, errors) in enumerate(columns):
        bottom = 0.0
        for k, share in enumerate(100 * np.asarray(shares)):
            ax.bar(x, share, bottom=bottom, color=SHADES[k], width=0.65,
                   label=names[k] if x == 0 else None)
            bottom += share
            if errors is not None:
                ax.errorbar(x + 0.16 * (k - 1.5), bottom, yerr=100 * errors[k], color="0.15",
                            capsize=2, linewidth=0.9)
            if share > 4:
                ax.text(x, bottom - share / 2, f"{share:.0f}", ha="center", va="center",
                        fontsize=8, color="white")
    ax.set_xticks(range(len(columns)), [label for label, *_ in columns])
    ax.set_ylabel("% of the variance of the pool's loss")
    ax.legend(fontsize=7, frameon=False, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return ax


def by_horizon(ax, pairs):
    """Default correlation in percent by horizon of all pairs, same and other industry."""
    for n, (kind, rows) in enumerate(pairs[pairs["first"] == "all"].groupby("pairs", sort=False)):
        years = rows["months"] / 12 + 0.06 * (n - 1)
        ax.errorbar(years, 100 * rows["correlation"], yerr=100 * rows["error"], marker="o",
                    capsize=2, color=SHADES[n], label=kind)
        if kind == "all pairs":
            ax.plot(years, 100 * rows["copula_correlation"], color="0.3", linestyle="--",
                    marker="x", label="copula, all pairs")
    ax.set(xlabel="horizon, years", ylabel="default correlation, %", ylim=(0, None))
    ax.legend(fontsize=7, frameon=False)
    return ax


def industry_map(ax, matrix):
    """Industry by industry default correlation [I, I] in percent; the pool's own lie on the
    diagonal."""
    image = ax.imshow(100 * matrix, cmap="viridis")
    ax.set(xlabel="industry", ylabel="industry")
    return image


@literal
def write_figure(path, report):
    """PNG of correlation_job.Report."""
    when = "" if report.after is None else " after calibration"
    columns = [("now" if report.after is None else "before", report.before.share,
                report.before.share_error)]
    if report.after is not None:
        columns += [("target", np.asarray(report.summary["target"]) / 100.0, None),
                    ("after", report.after.share, report.after.share_error)]
    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False,
                                "axes.titlesize": 10, "axes.labelsize": 8,
                                "xtick.labelsize": 8, "ytick.labelsize": 8}):
        figure = Figure(figsize=(13, 4), layout="constrained")
        bars, horizons, industries = figure.subplots(1, 3)
        variance_bars(bars, report.summary["sources"], columns).set_title("Variance by source")
        by_horizon(horizons, report.pairs).set_title(f"Default correlation by horizon{when}")
        image = industry_map(industries, report.industries)
        years = report.pairs["months"].max() // 12
        industries.set_title(f"Default correlation{when}, %, {years} years")
        figure.colorbar(image, ax=industries, shrink=0.8)
        figure.suptitle(report.title)
        figure.savefig(path, dpi=110)
