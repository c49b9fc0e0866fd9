"""Picture of a calibration: every target with its interval, the model before and after."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal, plain_numbers

BEFORE, AFTER, TARGET = "#d8a03d", "#3b6ea5", "#555555"


def compared(ax, rows):
    """Intervals of the targets, and the model before (hollow) and after (filled); one row each."""
    y = np.arange(len(rows))[::-1]
    for at, row in zip(y, rows, strict=True):
        ax.plot([row.low, row.high], [at, at], color=TARGET, alpha=0.35, linewidth=5,
                solid_capstyle="butt")
    ax.scatter([r.target for r in rows], y, marker="|", color=TARGET, s=60, label="historical")
    ax.scatter([r.before for r in rows], y, facecolors="none", edgecolors=BEFORE, s=28,
               label="before")
    ax.scatter([r.after for r in rows], y, color=AFTER, s=14, label="after", zorder=3)
    ax.set_yticks(y, [r.name.replace("_", " ") for r in rows], fontsize=6)
    ax.tick_params(axis="x", labelsize=7)
    title = rows[0].group + ("" if rows[0].fitted else " (not fitted)")
    ax.set_title(title, fontsize=8, loc="left")
    if min(r.low for r in rows) >= 0 and max(r.high for r in rows) > 20 * max(
            min(r.target for r in rows), 1e-12):
        ax.set_xscale("symlog", linthresh=max(np.quantile([r.target for r in rows], 0.2), 1e-4))
        ax.set_xlim(left=0.0)
        plain_numbers(ax.xaxis)
    return ax


@literal
def write_calibration(comparisons, path):
    """PNG of all comparisons, one panel a group."""
    groups: dict = {}
    for row in comparisons:
        groups.setdefault(row.group, []).append(row)
    lines = -(-len(groups) // 3)
    figure = Figure(figsize=(13, 2.9 * lines))
    axes = figure.subplots(lines, 3, squeeze=False).ravel()
    for ax, rows in zip(axes, groups.values(), strict=False):
        compared(ax, rows)
    for ax in axes[len(groups):]:
        ax.set_visible(False)
    axes[0].legend(fontsize=6, frameon=False)
    with matplotlib.rc_context({"svg.hashsalt": "clo_gen"}):
        figure.tight_layout()
        figure.savefig(path, dpi=110)
    return path
