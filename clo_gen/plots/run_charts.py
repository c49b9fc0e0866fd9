"""Charts of a run, drawn from its chart_data.json. One small figure each, to stand side by side."""

import numpy as np

from clo_gen.plots import svg
from clo_gen.plots.heat_maps import default_rates, worst_matrix
from clo_gen.plots.names import literal, short
from clo_gen.plots.run import TITLES, color_of, label_of
from clo_gen.plots.svg import INK, SOFT, Hover, Line, mark, new_figure

CLASS_COLORS = "viridis"


def _percent(values):
    return [None if v is None else round(100 * v, 4) for v in values]


def _array(values):
    return np.array(values, float)


def _band(ax, x, low, middle, high, name, i, width=1.7):
    """Band and middle line of a scenario, both in its group."""
    ax.fill_between(x, 100 * _array(low), 100 * _array(high), color=color_of(name, i), alpha=0.15,
                    linewidth=0).set_gid(mark(i))
    ax.plot(x, 100 * _array(middle), color=color_of(name, i), linewidth=width)[0].set_gid(mark(i))


def _bands(title, x, labels, scenarios, of, xlabel="years", unit="%"):
    """(figure, axes, Hover) of one band a scenario; `of(scenario)` gives [low, middle, high]."""
    figure = new_figure()
    ax = figure.add_subplot()
    lines = []
    for i, (name, s) in enumerate(scenarios.items()):
        low, middle, high = of(s)
        _band(ax, x, low, middle, high, name, i)
        lines.append(Line(_label(name), _percent(middle), i, _percent(low), _percent(high)))
    ax.set(title=title, xlabel=xlabel, ylabel=unit, xlim=(0, max(x)))
    return figure, ax, Hover(ax, list(x), labels, lines, unit)


def _month_labels(months):
    return [f"month {t}" for t in months]


def _label(scenario):
    return short(label_of(scenario))


def structure(data):
    """Bars from attachment to detachment, the senior class on top."""
    classes = data["classes"]
    figure = new_figure(7.0, 0.32 * len(classes) + 0.7, fits=True)
    ax = figure.add_subplot()
    shades = _shades(len(classes))
    for k, c in enumerate(classes):
        low, high = 100 * c["attachment"], 100 * c["detachment"]
        ax.barh(k, high - low, left=low, color=shades[k], height=0.8)
        rate = (f"+{c['spread_bps']:g} bp" if c["spread_bps"] is not None else
                f"{c['rate']:.2%} fixed" if c["rate"] is not None else "residual")
        text = ", ".join(x for x in (c["rating"], rate, f"{c['balance'] / 1e6:,.1f}m") if x)
        inside = low > 55
        ax.text(low - 1 if inside else high + 1, k, text, va="center", color=INK, fontsize=8.5,
                ha="right" if inside else "left")
    ax.set_yticks(range(len(classes)), [short(c["name"]) for c in classes])
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="loss of initial par, %: where a class is hit, and wiped out")
    return figure, ()


def _shades(count):
    import matplotlib

    return matplotlib.colormaps[CLASS_COLORS](np.linspace(0.2, 0.95, count))


def macro(data, series):
    """Fan of one macro series."""
    months = np.arange(1, data["months"] + 1)
    figure, _, hover = _bands(TITLES.get(series, series), months / 12, _month_labels(months),
                              data["scenarios"], lambda s: s["macro"][series])
    return figure, (hover,)


def cumulative(data, key, title):
    """Mean and band of cumulative defaults or losses."""
    months = np.arange(1, data["months"] + 1)
    figure, _, hover = _bands(title, months / 12, _month_labels(months), data["scenarios"],
                              lambda s: s[key], unit="% of par")
    return figure, (hover,)


def loss_density(data, summary):
    """Histogram of path losses, a dashed line at VaR 99 %."""
    edges = 100 * _array(data["loss_edges"])
    figure = new_figure()
    ax, lines = figure.add_subplot(), []
    for i, (name, s) in enumerate(data["scenarios"].items()):
        color = color_of(name, i)
        density = _array(s["loss_density"]) / 100
        ax.stairs(density, edges, fill=True, color=color, alpha=0.25).set_gid(mark(i))
        ax.stairs(density, edges, color=color, linewidth=1.2).set_gid(mark(i))
        var = summary["scenarios"][name]["portfolio"]["var_99"]
        ax.axvline(100 * var, color=color, linewidth=1.2, linestyle="--").set_gid(mark(i))
        lines.append(Line(_label(name), [round(100 * x, 3) for x in density * np.diff(edges)], i))
    ax.set(title="Lifetime loss of the pool; dashed: VaR 99 %", xlabel="% of par",
           ylabel="density", xlim=(0, edges[-1]))
    middle = (edges[1:] + edges[:-1]) / 2
    labels = [f"loss {a:.1f} to {b:.1f} %" for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return figure, (Hover(ax, middle.tolist(), labels, lines, "% of paths"),)


RISKS = {"expected_loss": ("EL", "std_error"), "var_95": ("VaR 95", "var_95_std_error"),
         "var_99": ("VaR 99", "var_99_std_error"), "cvar_99": ("CVaR 99", "cvar_99_std_error"),
         "var_99_9": ("VaR 99.9", "var_99_9_std_error")}


def risk_intervals(data, summary):
    """Expected loss, VaR and CVaR with 95 % Monte Carlo intervals."""
    figure = new_figure()
    ax, count, lines = figure.add_subplot(), len(data["scenarios"]), []
    for i, name in enumerate(data["scenarios"]):
        p = summary["scenarios"][name]["portfolio"]
        values = np.array([p[key] for key in RISKS])
        half = 1.96 * np.array([p[error] or 0.0 for _, error in RISKS.values()])
        lines.append(Line(_label(name), _percent(values), i, _percent(values - half),
                          _percent(values + half)))
        for j in range(len(RISKS)):
            at = j + (i - (count - 1) / 2) * 0.16
            ends = 100 * (values[j] - half[j]), 100 * (values[j] + half[j])
            ax.plot([at, at], ends, linewidth=1.6, color=color_of(name, i))[0].set_gid(mark(i))
            ax.plot(at, 100 * values[j], "o", markersize=4,
                    color=color_of(name, i))[0].set_gid(mark(i))
    labels = [label for label, _ in RISKS.values()]
    ax.set_xticks(range(len(RISKS)), labels)
    ax.set(title="Pool loss with 95 % intervals", ylabel="% of par", ylim=(0, None))
    return figure, (Hover(ax, list(range(len(RISKS))), labels, lines, "% of par"),)


def cash(data, name):
    """Mean cash by payee and payment date of one scenario, stacked."""
    s, years = data["scenarios"][name], data["dates"]["years"]
    classes = [c["name"] for c in data["classes"]]
    parts = [_array(s["cash"]["fees"]), *(_array(s["cash"][c]["interest"])
                                         + _array(s["cash"][c]["principal"]) for c in classes)]
    figure = new_figure()
    ax = figure.add_subplot()
    shades = [(0.6, 0.6, 0.6, 1.0), *_shades(len(classes))]
    ax.stackplot(years, 100 * np.stack(parts), colors=shades, linewidth=0)
    ax.set(title=f"Cash by payee: {_label(name)}", xlabel="years", ylabel="% of par a date",
           xlim=(0, max(years)))
    lines = [Line(short(n), [round(100 * x, 4) for x in part])
             for n, part in zip(["fees", *classes], parts, strict=True)]
    return figure, (Hover(ax, years, data["dates"]["pay"], lines, "% of par"),)


def payees(data):
    """The colours of `cash`: a legend of its own."""
    names = ["fees", *(short(c["name"]) for c in data["classes"])]
    shades = [(0.6, 0.6, 0.6, 1.0), *_shades(len(names) - 1)]
    columns = max(1, min(5, 75 // (max(map(len, names)) + 6)))
    figure = new_figure(7.0, 0.3 * -(-len(names) // columns) + 0.1, fits=True)
    ax = figure.add_subplot()
    ax.axis("off")
    from matplotlib.patches import Patch

    ax.legend(handles=[Patch(color=c, label=n) for c, n in zip(shades, names, strict=True)],
              ncols=columns, loc="center")
    return figure, ()


def coverage(data, test):
    """Ratio of a coverage test with its trigger, and the probability of failing, by date."""
    years, key = data["dates"]["years"], test["name"]
    figure = new_figure(4.4, 3.7)
    ratio, fail = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    ratios, fails = [], []
    last = max(12.0, *(m for s in data["scenarios"].values()
                       for m, stock in enumerate(s["stock"], 1) if stock and stock > 1e-6)) / 12
    for i, (name, s) in enumerate(data["scenarios"].items()):
        low, middle, high = s["tests"][key]["ratio"]
        _band(ratio, years, low, middle, high, name, i)
        failing = _percent(s["tests"][key]["fail"])
        fail.plot(years, failing, color=color_of(name, i), linewidth=1.6)[0].set_gid(mark(i))
        ratios.append(Line(_label(name), _percent(middle), i, _percent(low), _percent(high)))
        fails.append(Line(_label(name), failing, i))
    trigger = 100 * test["trigger"]
    ratio.axhline(trigger, color=SOFT, linewidth=1.0, linestyle=":")
    top = 200 if test["kind"] == "oc" else 300
    ratio.set(title=f"{short(key)}; dotted: trigger {trigger:.2f} %", ylabel="ratio, %",
              ylim=(min(80.0, trigger - 20), top))
    fail.set(xlabel="years", ylabel="P(fails), %", ylim=(0, None), xlim=(0, last))
    pay = data["dates"]["pay"]
    return figure, (Hover(ratio, years, pay, ratios), Hover(fail, years, pay, fails))


def class_loss(data, name):
    """P(class loses more than x of its balance)."""
    x = np.linspace(0, 100, len(next(iter(data["scenarios"].values()))["class_loss"][name]))
    figure = new_figure()
    ax, lines = figure.add_subplot(), []
    for i, (scenario, s) in enumerate(data["scenarios"].items()):
        values = _percent(s["class_loss"][name])
        # No loss is above 100 %: the last step is drawn on to the edge, not down to 0.
        ax.step(x, [*values[:-1], values[-2]], where="post", color=color_of(scenario, i),
                linewidth=1.7)[0].set_gid(mark(i))
        lines.append(Line(_label(scenario), values, i))
    ax.set(title=f"{short(name)}: P(loss above x)", xlabel="x, % of its balance", ylabel="%",
           xlim=(0, 100), ylim=(0, None))
    return figure, (Hover(ax, x.tolist(), [f"loss above {v:g} %" for v in x], lines),)


def class_cash(data, name):
    """Mean interest (dashed) and principal of a class by payment date."""
    years, pay = data["dates"]["years"], data["dates"]["pay"]
    figure = new_figure()
    ax, lines = figure.add_subplot(), []
    for i, (scenario, s) in enumerate(data["scenarios"].items()):
        for part, dash in (("principal", "-"), ("interest", "--")):
            values = _percent(s["cash"][name][part])
            ax.plot(years, values, dash, color=color_of(scenario, i), linewidth=1.5)[0].set_gid(
                mark(i))
            lines.append(Line(f"{_label(scenario)}, {part}", values, i))
    ax.set(title=f"{short(name)}: principal, dashed: interest", xlabel="years",
           ylabel="% of pool par a date", xlim=(0, max(years)), ylim=(0, None))
    return figure, (Hover(ax, years, pay, lines, "% of par"),)


@literal
def charts(data, summary, folder=None):
    """{section: [(Chart, scenario number or None, class number or None)]} of a run; with `folder`
    also the SVG and PNG files."""
    scenarios, classes = list(data["scenarios"]), [c["name"] for c in data["classes"]]
    out: dict = {}

    def add(section, key, caption, drawn, scenario=None, k=None):
        figure, hovers = drawn
        out.setdefault(section, []).append(
            (svg.chart(key, caption, figure, hovers, folder), scenario, k))

    with svg.styled():
        add("structure", "structure", "Capital structure", structure(data))
        for m, series in enumerate(data["series"]):
            add("macro", f"macro_{m + 1}", TITLES.get(series, series), macro(data, series))
        # A deal of less than a year has no yearly matrix.
        for i, name in enumerate(scenarios if data["scenarios"][scenarios[0]]["matrices"] else ()):
            add("transitions", f"default_rates_{i + 1}", f"Default rates, {name}",
                default_rates(data, name), i)
            add("transitions", f"transitions_{i + 1}", f"Transitions, {name}",
                worst_matrix(data, name), i)
        for key, title in (("defaults", "Cumulative defaults, mean and 5-95 %"),
                           ("losses", "Cumulative losses, mean and 5-95 %")):
            add("pool", key, title, cumulative(data, key, title))
        add("pool", "loss_distribution", "Loss distribution", loss_density(data, summary))
        add("pool", "risk_intervals", "VaR and CVaR", risk_intervals(data, summary))
        for k, name in enumerate(classes):
            add("classes", f"class_{k + 1}_loss", f"{name}: loss", class_loss(data, name), None, k)
            add("classes", f"class_{k + 1}_cash", f"{name}: cash", class_cash(data, name), None, k)
        add("cash", "payees", "Payees", payees(data))
        for i, name in enumerate(scenarios):
            add("cash", f"cash_{i + 1}", f"Cash by payee, {name}", cash(data, name), i)
        for q, test in enumerate(data["tests"]):
            add("coverage", f"test_{q + 1}", test["name"], coverage(data, test))
    return out
