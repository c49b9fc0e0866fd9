"""Picture of several runs side by side: arrays -> axes."""

import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal

PANELS = (("loss_probability", "P(loss) by class"), ("expected_loss", "Expected loss by class"))


def bars(ax, names, runs, values, errors):
    """Bars of `values` [runs, names] in percent, grouped by name, with 95 % intervals."""
    width = 0.8 / len(runs)
    for i, run in enumerate(runs):
        at = np.arange(len(names)) + (i - (len(runs) - 1) / 2) * width
        ax.bar(at, 100 * values[i], width, yerr=196 * errors[i], label=run, color=f"C{i}",
               error_kw={"elinewidth": 0.8})
    ax.set_xticks(np.arange(len(names)), names, fontsize=8, rotation=45)
    return ax


@literal
def write_figure(path, found):
    """PNG of jobs.compare.Comparison: a row a scenario, pool and classes."""
    table = found.table.astype({"value": float, "std_error": float})
    scenarios = list(dict.fromkeys(table["scenario"]))
    figure = Figure(figsize=(12, 3.2 * len(scenarios)))
    axes = figure.subplots(len(scenarios), len(PANELS), squeeze=False)
    for row, scenario in zip(axes, scenarios, strict=True):
        for ax, (quantity, title) in zip(row, PANELS, strict=True):
            part = table[(table["scenario"] == scenario) & (table["quantity"] == quantity)]
            names = list(dict.fromkeys(part["of"]))

            def grid(column, part=part, names=names):
                wide = part.pivot_table(index="run", columns="of", values=column, dropna=False)
                return wide.reindex(index=found.runs, columns=names).fillna(0.0).to_numpy()

            bars(ax, names, found.runs, grid("value"), grid("std_error"))
            ax.set(title=f"{title}, {scenario.replace('_', ' ')}", ylabel="%")
    axes[0, 0].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
