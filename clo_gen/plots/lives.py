"""Pictures of transition matrices and of what becomes of loans: arrays -> axes."""

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm


def transition_map(ax, matrix, rows, columns, least=1e-4):
    """Heat map of `matrix` [R, C] (probabilities) on a logarithmic scale, percent in each cell.

    Cells below `least` are blank.
    """
    shown = np.ma.masked_less(np.asarray(matrix), least)
    ax.imshow(shown, norm=LogNorm(least, 1.0), cmap="Blues", aspect="auto")
    for r, c in np.argwhere(~np.ma.getmaskarray(shown)):
        value = 100 * shown[r, c]
        ax.text(c, r, f"{value:.0f}" if value >= 9.95 else f"{value:.2g}", ha="center",
                va="center", fontsize=7, color="white" if shown[r, c] > 0.1 else "black")
    ax.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=7)
    ax.set_yticks(range(len(rows)), rows, fontsize=7)
    ax.tick_params(length=0)
    return ax


ENDED = {"default": "#b8412f", "prepaid": "0.7", "matured": "0.85"}


def state_stack(ax, years, shares, states):
    """Shares [T, S] of the pool in each state, percent, stacked with the first state lowest: live
    states in blues. States that hold nothing at any time are left out."""
    shares = np.asarray(shares)
    held = [s for s in range(len(states)) if shares[:, s].max() > 1e-3]
    live = [state for state in states if state not in ENDED]
    blues = matplotlib.colormaps["Blues"](np.linspace(0.1, 0.95, len(live)))
    colors = dict(zip(live, blues, strict=True)) | ENDED  # a state looks the same in every picture
    ax.stackplot(years, shares[:, held].T * 100, labels=[states[s] for s in held],
                 colors=[colors[states[s]] for s in held], edgecolor="white", linewidth=0.4)
    ax.set(xlabel="years", ylabel="% of loans", ylim=(0, 100), xlim=(years[0], years[-1]))
    return ax
