"""Pictures of sensitivities and attributions: arrays -> axes. The write_ functions make files."""

import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal

UP, DOWN, NEUTRAL = "#3b6ea5", "#b8412f", "0.35"


def tornado(ax, names, effects, revalued, scale):
    """Horizontal bars of first-order `effects` [n], both ways, largest on top, times `scale`.

    `revalued` [n, 2]: the same bumps up and down, worked out in full, as marks.
    """
    rows = np.arange(len(names))[::-1]
    effects, revalued = np.asarray(effects) * scale, np.asarray(revalued) * scale
    ax.barh(rows, effects, color=UP, alpha=0.75, height=0.7, label="bump up, first order")
    ax.barh(rows, -effects, color=DOWN, alpha=0.45, height=0.7, label="bump down, first order")
    ax.plot(revalued[:, 0], rows, "|", color="black", markersize=11, markeredgewidth=1.6,
            label="up, revalued")
    ax.plot(revalued[:, 1], rows, "|", color=NEUTRAL, markersize=11, markeredgewidth=1.6,
            label="down, revalued")
    ax.axvline(0.0, color="black", linewidth=0.8)
    ax.set_yticks(rows, names, fontsize=7)
    return ax


@literal
def write_tornados(path, title, panels):
    """PNG with a tornado for each of `panels` (outcome, names, effects, revalued); in bp."""
    figure = Figure(figsize=(5.2 * len(panels), 4.4), layout="constrained")
    for ax, (outcome, names, effects, revalued) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        tornado(ax, names, effects, revalued, 1e4)
        ax.set(title=outcome, xlabel="change, bp")
        ax.tick_params(axis="x", labelsize=7)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=110)


def attribution_bars(ax, start, end, names, shares, scale):
    """From `start` to `end` in steps of the `shares` [n] of factors, times `scale`."""
    shares, start, end = np.asarray(shares) * scale, start * scale, end * scale
    bottoms = start + np.concatenate([[0.0], np.cumsum(shares)[:-1]])
    ax.bar(0, start, color=NEUTRAL)
    ax.bar(np.arange(1, len(shares) + 1), shares, bottom=bottoms,
           color=[UP if share >= 0 else DOWN for share in shares])
    ax.bar(len(shares) + 1, end, color=NEUTRAL)
    ax.axhline(0.0, color="black", linewidth=0.8)
    ax.set_xticks(np.arange(len(shares) + 2), names, rotation=40, ha="right", fontsize=7)
    return ax


@literal
def write_attributions(path, title, panels):
    """PNG with the steps of each of `panels` (outcome, start, end, names, shares); in percent."""
    figure = Figure(figsize=(4.6 * len(panels), 4.0), layout="constrained")
    for ax, (outcome, start, end, names, shares) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        attribution_bars(ax, start, end, ("start", *names, "end"), shares, 100.0)
        ax.set(title=outcome, ylabel="%")
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=110)
