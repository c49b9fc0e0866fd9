"""Picture of stage 2: yearly default rates beside their forecasts before and after."""

import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal


def forecast_band(ax, years, quantiles, color, label):
    """Band between the outer columns of `quantiles` [Y, Q] (fractions) and their middle one."""
    low, middle, high = quantiles[:, [0, quantiles.shape[1] // 2, -1]].T * 100
    ax.fill_between(years, low, high, color=color, alpha=0.15, linewidth=0)
    ax.plot(years, middle, color=color, label=label)
    return ax


@literal
def write_stage2_figure(path, years, numbers, levels, splits):
    """PNG of the forecasts `numbers` (before, after: YearNumbers) at `levels`; `splits` are the
    first year that stopped the training and the first test year."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    ax = figure.add_subplot()
    order = np.argsort(levels)
    for found, color, label in zip(numbers, ("#d8a03d", "#3b6ea5"),
                                   ("stage 1", "stage 2"), strict=True):
        if found.quantiles is not None:
            forecast_band(ax, years, np.asarray(found.quantiles)[:, order], color,
                          f"{label}: median, {min(levels):.0%} to {max(levels):.0%}")
    ax.plot(years, np.asarray(numbers[0].observed) * 100, "o", color="#b8412f", label="seen")
    for year, name in zip(splits, ("held out", "test"), strict=True):
        ax.axvline(year - 0.5, color="0.5", linestyle=":", linewidth=1.0)
        ax.text(year - 0.4, ax.get_ylim()[1], name, fontsize=8, va="top")
    ax.set(title="Speculative-grade default rate, forecast a year ahead", xlabel="year",
           ylabel="% of obligors")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
