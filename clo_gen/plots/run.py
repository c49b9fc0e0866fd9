"""Pictures of a run: arrays -> axes. Only `write_figures` makes figures and files."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from clo_gen.plots.names import literal

COLORS = {"baseline": "#3b6ea5", "adverse": "#d8a03d", "severely_adverse": "#b8412f",
          "stagflation": "#7a5c99"}
TITLES = {
    "gdp_growth_yoy": "GDP growth, yearly", "unemployment_rate": "Unemployment rate",
    "inflation_yoy": "Inflation, yearly", "policy_rate": "Policy rate",
    "treasury_10y": "10-year Treasury", "credit_spread_cp": "Commercial paper - bill spread",
    "credit_spread_ig": "BAA - 10-year spread",
    "industrial_production_yoy": "Industrial production, yearly",
    "employment_growth_yoy": "Employment growth, yearly",
}


def _color(name, i=0):
    return COLORS.get(name, f"C{i}")


def _label(name):
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


def ratio_fan(ax, years, ratio, trigger, color, label):
    """Median and 5-95 % band of an OC ratio [N, P] in percent, and its trigger."""
    low, middle, high = np.quantile(ratio, [0.05, 0.5, 0.95], axis=0) * 100
    ax.fill_between(years, low, high, color=color, alpha=0.13, linewidth=0)
    ax.plot(years, middle, color=color, linewidth=1.4, label=label)
    ax.axhline(trigger * 100, color="black", linewidth=0.9, linestyle=":")
    return ax


def _save(figure, path):
    figure.savefig(path, dpi=110, bbox_inches="tight")
    return path


def _macro(a, results, path):
    series = a.setup.series
    figure = Figure(figsize=(11, 2.6 * -(-len(series) // 3)))
    axes = figure.subplots(-(-len(series) // 3), 3, squeeze=False).ravel()
    for m, (ax, name) in enumerate(zip(axes, series, strict=False)):
        for i, (scenario, r) in enumerate(results.items()):
            years = np.arange(1, r.curves.macro.shape[1] + 1) / 12
            fan(ax, years, r.curves.macro[:, :, m], _color(scenario, i), _label(scenario),
                width=max(4.0 - 1.1 * i, 0.8))  # lines that coincide all stay visible
        ax.set(title=TITLES.get(name, name), xlabel="years", ylabel="%")
    for ax in axes[len(series):]:
        ax.set_visible(False)
    axes[0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    return _save(figure, path)


def _curves(a, results, path):
    figure = Figure(figsize=(11, 3.4))
    left, right = figure.subplots(1, 2)
    for i, (scenario, r) in enumerate(results.items()):
        years = np.arange(1, r.curves.default.shape[1] + 1) / 12
        curve(left, years, r.curves.default, r.means.default, _color(scenario, i), _label(scenario))
        curve(right, years, r.curves.booked_loss, r.means.booked_loss, _color(scenario, i),
              _label(scenario))
    left.set(title="Cumulative defaults (mean, 5-95 %)", xlabel="years", ylabel="% of par")
    right.set(title="Cumulative losses (mean, 5-95 %)", xlabel="years", ylabel="% of par")
    left.legend(fontsize=8, frameon=False)
    return _save(figure, path)


def _losses(a, results, path):
    figure = Figure(figsize=(11, 3.4))
    ax = figure.subplots()
    top = max(float(r.numbers.loss.max()) for r in results.values())
    for i, (scenario, r) in enumerate(results.items()):
        var_99 = np.quantile(r.numbers.loss, 0.99, method="inverted_cdf")
        loss_histogram(ax, r.numbers.loss, var_99, np.linspace(0, top + 1e-9, 60),
                       _color(scenario, i), _label(scenario))
    ax.set(title="Lifetime loss of the pool (dashed: VaR 99 %)", xlabel="% of par",
           ylabel="density")
    ax.legend(fontsize=8, frameon=False)
    return _save(figure, path)


def _stacks(a, results, path):
    years = np.asarray(a.deal.calendar.years)
    figure = Figure(figsize=(11, 3.0 * -(-len(results) // 2)))
    axes = figure.subplots(-(-len(results) // 2), 2, squeeze=False, sharey=True).ravel()
    for ax in axes[len(results):]:
        ax.set_visible(False)
    for ax, (scenario, r) in zip(axes, results.items(), strict=False):
        cash = r.means.tranche_interest + r.means.tranche_principal
        cash = np.column_stack([r.means.fees, cash])
        cash_stack(ax, years, cash, ["fees", *a.deal.classes])
        ax.set(title=_label(scenario), xlabel="years", ylabel="% of par a date")
    axes[0].legend(fontsize=6, frameon=False, ncols=2)
    figure.suptitle("Cash by payee, mean over paths", y=1.0)
    figure.tight_layout()
    return _save(figure, path)


def _last_year(results):
    """Years until the last collateral is gone on every path."""
    stock = sum(r.curves.opening.max(0) for r in results.values())
    return float(max(np.flatnonzero(stock > 1e-9), default=11) + 1) / 12


def _ratios(a, results, path):
    tests = [(q, t) for q, t in enumerate(a.deal.terms.tests) if t.kind == "oc"]
    if not tests:
        return None
    years = np.asarray(a.deal.calendar.years)
    figure = Figure(figsize=(11, 3.0 * -(-len(tests) // 2)))
    axes = figure.subplots(-(-len(tests) // 2), 2, squeeze=False).ravel()
    for ax in axes[len(tests):]:
        ax.set_visible(False)
    for ax, (q, test) in zip(axes, tests, strict=False):
        for i, (scenario, r) in enumerate(results.items()):
            ratio_fan(ax, years, np.minimum(r.curves.ratio[:, :, q], 3.0), test.trigger,
                      _color(scenario, i), _label(scenario))
        ax.set(title=f"{test.name} (dotted: trigger {test.trigger:.2%})", xlabel="years",
               ylabel="%", ylim=(60, 200), xlim=(0, _last_year(results)))
    axes[0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    return _save(figure, path)


FIGURES = {
    "macro": ("Macro paths by scenario: median and 5-95 % band", _macro),
    "defaults_losses": ("Defaults and losses of the pool", _curves),
    "loss_distribution": ("Distribution of the pool's lifetime loss", _losses),
    "tranche_cash": ("Who gets the cash", _stacks),
    "oc_ratios": ("OC ratios against their triggers, axis cut at 200 %", _ratios),
}


@literal
def write_figures(a, results, folder):
    """Writes the PNG figures of a run; returns {caption: path}."""
    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False,
                                "axes.titlesize": 10, "axes.labelsize": 8,
                                "xtick.labelsize": 8, "ytick.labelsize": 8}):
        written = {caption: draw(a, results, folder / f"{name}.png")
                   for name, (caption, draw) in FIGURES.items()}
    return {caption: path for caption, path in written.items() if path is not None}


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
    held = {}
    for o in obligors:
        held.setdefault(o.industry, []).append(o.percentage)
    held = sorted(held.values(), key=sum, reverse=True)
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
            fan(ax, np.arange(1, values.shape[1] + 1) / 12, values[:, :, m], _color(scenario, i),
                _label(scenario))
        ax.set(title=TITLES.get(name, name), xlabel="years", ylabel="%")
    for ax in axes[len(series):]:
        ax.set_visible(False)
    axes[0].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=110)
