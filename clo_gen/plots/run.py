"""Pictures: arrays -> axes. The write_ functions make figures and files."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal

# Okabe and Ito (2008): colours that the colour-blind tell apart.
COLORS = {"baseline": "#0072b2", "adverse": "#e69f00", "severely_adverse": "#d55e00",
          "stagflation": "#cc79a7"}
_MORE = ("#009e73", "#56b4e9", "#a6761d", "#7570b3")
TITLES = {
    "gdp_growth_yoy": "GDP growth, yearly", "unemployment_rate": "Unemployment rate",
    "inflation_yoy": "Inflation, yearly", "policy_rate": "Policy rate",
    "treasury_10y": "10-year Treasury", "credit_spread_cp": "Commercial paper - bill spread",
    "credit_spread_ig": "BAA - 10-year spread",
    "industrial_production_yoy": "Industrial production, yearly",
    "employment_growth_yoy": "Employment growth, yearly",
}


def color_of(scenario, i=0):
    """Colour of scenario number i; the standard ones keep theirs everywhere."""
    return COLORS.get(scenario, _MORE[i % len(_MORE)])


def label_of(name):
    return name.replace("_", " ")


def fan(ax, years, values, color, label, width=1.6):
    """Median and 5-95 % band over paths of `values` [N, T] (fractions) in percent."""
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], axis=0) * 100
    ax.fill_between(years, low, high, color=color, alpha=0.13, linewidth=0)
    ax.plot(years, middle, color=color, linewidth=width, label=label)
    return ax


def curve(ax, years, values, mean, color, label, width=1.6):
    """Cumulative `mean` [T] over all paths in percent of par, with a 5-95 % band of `values`
    [n, T]."""
    total = np.cumsum(values, axis=1)
    low, high = np.quantile(total, [0.05, 0.95], axis=0) * 100
    ax.fill_between(years, low, high, color=color, alpha=0.13, linewidth=0)
    ax.plot(years, np.cumsum(mean) * 100, color=color, linewidth=width, label=label)
    return ax


def loss_histogram(ax, losses, var_99, bins, color, label):
    """Histogram of path losses [N] in percent of par, with a line at VaR 99 %."""
    ax.hist(losses * 100, bins=bins * 100, color=color, alpha=0.45, label=label, density=True)
    ax.axvline(var_99 * 100, color=color, linewidth=1.4, linestyle="--")
    return ax


def cash_stack(ax, years, cash, names):
    """Mean cash [P, n] per payment date, stacked by payee, percent of par."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.95, cash.shape[1]))
    ax.stackplot(years, cash.T * 100, labels=names, colors=shades, linewidth=0)
    return ax


def obligor_ladder(ax, shares):
    """Shares of the obligors, largest first, percent of the pool."""
    ax.bar(np.arange(1, len(shares) + 1), np.asarray(shares) * 100, width=1.0,
           color=COLORS["baseline"])
    return ax


def industry_bars(ax, shares, obligors):
    """Shares of the industries [I], largest first, percent; the number of obligors on each bar."""
    bars = ax.bar(np.arange(1, len(shares) + 1), np.asarray(shares) * 100, color=COLORS["adverse"])
    ax.bar_label(bars, [str(n) for n in obligors], fontsize=7)
    return ax


def sdr_against_bdr(ax, scores, sdr, bdr, solution):
    """SDR of the pool over the risk score, the adjusted BDR less cushion, and the solution."""
    ax.plot(scores, np.asarray(sdr) * 100, color=COLORS["severely_adverse"], label="SDR")
    ax.axhline(bdr * 100, color=COLORS["baseline"], label="adjusted BDR less cushion")
    ax.axvline(solution, color="0.4", linestyle="--", linewidth=1.0, label="solution")
    return ax


@literal
def write_hypo_figure(path, name, obligors, curve_data):
    """PNG of one hypo pool: obligor ladder, industries and, with a monitor, SDR against BDR."""
    figure = Figure(figsize=(11, 3.4 if curve_data is None else 6.4), layout="constrained")
    grid = figure.add_gridspec(1 if curve_data is None else 2, 2)
    ladder, bars = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    obligor_ladder(ladder, [o.percentage for o in obligors])
    ladder.set(title=f"{name}: {len(obligors)} obligors (hypothetical)", xlabel="obligor, by size",
               ylabel="% of pool")
    by_industry: dict = {}
    for o in obligors:
        by_industry.setdefault(o.industry, []).append(o.percentage)
    held = sorted(by_industry.values(), key=sum, reverse=True)
    industry_bars(bars, [sum(x) for x in held], [len(x) for x in held])
    bars.set(title=f"{len(held)} industries, obligors on top", xlabel="industry, by size",
             ylabel="% of pool")
    if curve_data is not None:
        axis = figure.add_subplot(grid[1, :])
        sdr_against_bdr(axis, *curve_data).legend(frameon=False)
        axis.set(title="CDO Monitor", xlabel="risk score of the pool", ylabel="%")
    figure.savefig(path, dpi=110)


def training_curves(ax, epochs, loss, held_out):
    """Training loss and held-out score over the epochs, and the best of the latter."""
    ax.plot(epochs, loss, color="0.6", linewidth=1.2, label="training loss")
    ax.plot(epochs, held_out, color=COLORS["baseline"], label="held-out score")
    best = int(np.argmin(held_out))
    ax.plot(epochs[best], held_out[best], "o", color=COLORS["severely_adverse"], markersize=4,
            label=f"kept: epoch {epochs[best]}")
    return ax


@literal
def write_training_curves(path, name, history):
    """PNG of one level's training; `history` as train.loop.fit returns it."""
    epochs, loss, held_out = ([row.get(k, np.nan) for row in history]
                              for k in ("epoch", "loss", "held_out"))
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axis = figure.add_subplot()
    training_curves(axis, epochs, loss, held_out).legend(frameon=False, fontsize=8)
    axis.set(title=f"training of level {name}", xlabel="epoch", ylabel="loss")
    figure.savefig(path, dpi=110)


@literal
def write_macro_figure(path, series, past, samples):
    """PNG of generated macro paths: `past` [H, M] months, then the fan of each scenario of
    `samples` {name: [N, T, M]} (fractions)."""
    figure = Figure(figsize=(13, 2.7 * -(-len(series) // 4)), layout="constrained")
    axes = figure.subplots(-(-len(series) // 4), 4, squeeze=False).ravel()
    for m, (ax, name) in enumerate(zip(axes, series, strict=False)):
        ax.plot(np.arange(1 - len(past), 1) / 12, past[:, m] * 100, color="0.3", linewidth=1.2)
        for i, (scenario, values) in enumerate(samples.items()):
            fan(ax, np.arange(1, values.shape[1] + 1) / 12, values[:, :, m], color_of(scenario, i),
                label_of(scenario))
        ax.set(title=TITLES.get(name, name), xlabel="years", ylabel="%")
    for ax in axes[len(series):]:
        ax.set_visible(False)
    axes[0].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=110)
