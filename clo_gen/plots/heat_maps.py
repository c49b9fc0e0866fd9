"""Heat maps of a run's yearly rating transitions, from its chart_data.json."""

import numpy as np

from clo_gen.plots.names import short
from clo_gen.plots.run import label_of
from clo_gen.plots.svg import new_figure


def _heat(ax, values, rows, columns):
    """Cells of shares [R, C] with their numbers; shading is by the square root."""
    shown = np.sqrt(np.clip(values, 0, 1))
    ax.imshow(shown, cmap="OrRd", vmin=0, vmax=1, aspect="auto")
    for (r, c), value in np.ndenumerate(values):
        # On the map's own colours, which do not follow the page.
        ax.text(c, r, _share(value), ha="center", va="center", fontsize=7.5,
                color="#fafafa" if shown[r, c] > 0.6 else "#222222")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.tick_params(length=0)


def _share(value):
    return "" if value < 5e-5 else f"{100 * value:.2g}" if value < 0.1 else f"{100 * value:.0f}"


def default_rates(data, name):
    """Heat map of yearly default probabilities by rating and year of one scenario."""
    matrices = np.array(data["scenarios"][name]["matrices"], float)
    states = data["states"]
    live, default = states[:-3], len(states) - 3
    figure = new_figure(4.4, 0.26 * len(live) + 0.9, fits=True)
    ax = figure.add_subplot()
    _heat(ax, matrices[:, : len(live), default].T, live,
          [f"year {y + 1}" for y in range(len(matrices))])
    ax.set_title(f"Default within a year, %: {short(label_of(name))}")
    return figure, ()


def worst_matrix(data, name):
    """Heat map of the yearly matrix in the year with the highest mean default rate over ratings."""
    matrices, states = np.array(data["scenarios"][name]["matrices"], float), data["states"]
    live, default = states[:-3], len(states) - 3
    year = int(matrices[:, : len(live), default].mean(1).argmax())
    figure = new_figure(4.4, 0.26 * len(live) + 0.9, fits=True)
    ax = figure.add_subplot()
    # The middle one is a line lower: the three do not fit beside each other.
    ends = ["default", "\nprepaid", "matured"]
    _heat(ax, matrices[year][: len(live)], live, [*live, *ends])
    ax.tick_params(axis="x", labelsize=7)
    ax.set_title(f"Transitions in year {year + 1}, %: {short(label_of(name))}")
    return figure, ()
