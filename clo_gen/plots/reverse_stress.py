"""Picture of a reverse stress: each macro series, its usual band and the paths found."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal
from clo_gen.plots.run import TITLES

SHADES = ("#b8412f", "#d8a03d", "#7a5c99", "#3b6ea5", "#5d8a4a")


def stressed_series(ax, years, usual, paths):
    """One series in percent: `usual` = (low, middle, high) [T] each, and `paths` [[T], ...]."""
    low, middle, high = (100 * np.asarray(x) for x in usual)
    ax.fill_between(years, low, high, color="0.85", linewidth=0, label="5-95 % of paths")
    ax.plot(years, middle, color="0.4", linewidth=1.0, linestyle="--", label="likeliest path")
    for n, path in enumerate(paths):
        ax.plot(years, 100 * np.asarray(path), color=SHADES[n % len(SHADES)],
                linewidth=1.8 if n == 0 else 1.1, label=f"answer {n + 1}")
    return ax


@literal
def write_figure(path, report):
    """PNG of reverse_stress_job.Report."""
    series, usual = report.series, report.usual
    years = np.arange(1, len(usual.middle) + 1) / 12
    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False,
                                "axes.titlesize": 10, "axes.labelsize": 8,
                                "xtick.labelsize": 8, "ytick.labelsize": 8}):
        figure = Figure(figsize=(11, 2.6 * -(-len(series) // 3)), layout="constrained")
        axes = figure.subplots(-(-len(series) // 3), 3, squeeze=False).ravel()
        for m, (ax, name) in enumerate(zip(axes, series, strict=False)):
            stressed_series(ax, years, [x[:, m] for x in (usual.low, usual.middle, usual.high)],
                            [p[:, m] for p in report.paths])
            ax.set(title=TITLES.get(name, name), xlabel="years", ylabel="%")
        for ax in axes[len(series):]:
            ax.set_visible(False)
        axes[0].legend(fontsize=7, frameon=False)
        figure.suptitle(f"{report.title} - likeliest macro paths")
        figure.savefig(path, dpi=110, bbox_inches="tight")
