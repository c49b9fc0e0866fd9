"""Pictures of experiments: arrays -> axes. The write_ functions make files."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal

COLORS = ("#3b6ea5", "#b8412f", "#d8a03d", "#5d8a4a", "0.5")
HELD, MISSED, SMALL = "#3b6ea5", "#b8412f", "0.6"
STYLE = {"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10,
         "axes.labelsize": 8, "xtick.labelsize": 8, "ytick.labelsize": 8}


def dots(ax, labels, series):
    """One row a label, first on top: a dot for each of `series` {name: values [n] or (values,
    errors)} with a bar of 1.96 errors either side."""
    rows = np.arange(len(labels))[::-1]
    for n, (name, values) in enumerate(series.items()):
        values, errors = values if isinstance(values, tuple) else (values, None)
        move = 0.0 if len(series) == 1 else 0.3 * (0.5 - n / (len(series) - 1))
        ax.errorbar(np.asarray(values, float), rows + move, fmt="o", markersize=4, capsize=2,
                    xerr=None if errors is None else 1.96 * np.asarray(errors, float),
                    color=COLORS[n % len(COLORS)], label=name)
    ax.set_yticks(rows, labels)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    return ax


@literal
def write_dots(path, title, panels, lines=()):
    """PNG with one panel of dots() for each of `panels` (title, x label, labels, series); `lines`
    are drawn upright in all of them."""
    with matplotlib.rc_context(STYLE):
        tall = max(len(labels) for _, _, labels, _ in panels)
        figure = Figure(figsize=(1.6 + 4.4 * len(panels), 1.6 + 0.27 * tall), layout="constrained")
        for ax, (name, unit, labels, series) in zip(
                figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            dots(ax, labels, series).set(title=name, xlabel=unit)
            for x in lines:
                ax.axvline(x, color="0.5", linewidth=0.9, linestyle=":")
            if len(series) > 1:
                ax.legend(frameon=False, fontsize=7)
        figure.suptitle(title, fontsize=11)
        figure.savefig(path, dpi=110)


def _place(value, low, high):
    """`value` on a scale where its expected range is 0 to 1; a single bound stands at its own end,
    and what it is off by counts as a share of it."""
    if low is None:
        return 1.0 + (value - high) / (abs(high) or 1.0)
    if high is None:
        return (value - low) / (abs(low) or 1.0)
    return (value - low) / (high - low) if high > low else 0.5 + (value - low)


@literal
def write_expectations(path, rows):
    """PNG of figures beside what was expected: the shaded band is the expected range, of each its
    own. `rows` hold run, figure, value, low, high (None: no bound), holds (None: left out), small.
    """
    rows = [r for r in rows if r["holds"] is not None and r["value"] is not None]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 1.2 + 0.26 * max(len(rows), 1)), layout="constrained")
        ax = figure.subplots()
        ax.axvspan(0.0, 1.0, color="0.92")
        for y, r in enumerate(reversed(rows)):
            at = np.clip(_place(r["value"], r["low"], r["high"]), -1.0, 2.0)
            color = SMALL if r["small"] else HELD if r["holds"] else MISSED
            ax.plot(at, y, "o", color=color, markersize=5)
            ax.text(2.08, y, f"{r['value']:.3g}", va="center", fontsize=7)
        ax.set_yticks(range(len(rows)), [f"{r['run']}: {r['figure']}" for r in reversed(rows)],
                      fontsize=7)
        ax.set(xlim=(-1.1, 2.5), ylim=(-0.7, len(rows) - 0.3),
               xlabel="expected range shaded; red: missed, grey: run at a small size",
               xticks=[0.0, 1.0])
        ax.set_xticklabels(["low", "high"])
        figure.savefig(path, dpi=110)
