"""What other analyses wrote into their folders, as sections of a run's report."""

import pathlib

import numpy as np

from clo_gen.io.csv_file import read_written
from clo_gen.io.json_data import read_json
from clo_gen.io.problems import Problems
from clo_gen.plots import correlation, sensitivity, structuring, svg, tail
from clo_gen.plots.names import literal
from clo_gen.plots.run import industry_bars, obligor_ladder, sdr_against_bdr
from clo_gen.plots.svg import Hover, Line, new_figure

MOST = 40  # rows of a table on the page


def beside(run, summary):
    """(folders, names left out) next to the folder `run` that analyses write: <run>-tail and so on.

    Those that do not say that they are of the run's own tape and deal are left out.
    """
    names = ("sensitivity", "attribution", "correlation", "reverse-stress", "tail", "structure")
    found = [f for name in names if (f := run.with_name(f"{run.name}-{name}")).is_dir()]
    ours = [f for f in found if _inputs_of(f) == [summary["data"][k] for k in ("tape", "deal")]]
    return ours, [f.name for f in found if f not in ours]


def _inputs_of(folder):
    """What an analysis says of its tape and deal, or None."""
    for name in ("summary.json", "tail.json"):
        try:
            data = read_json(folder / name)["data"]
            data = data[0] if isinstance(data, list) else data  # an attribution has two sides
            return [data[k] for k in ("tape", "deal")]
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            continue
    return None


@literal
def read_all(folders):
    """[{"title", "sheet", "note", "charts", "tables"}] of analyses' folders, in the order of KINDS.

    Raises InputError that names every folder that is none.
    """
    problems, found = Problems("report"), []  # type: ignore[var-annotated]
    for folder in map(pathlib.Path, folders):
        kind = next((k for k in KINDS if (folder / k).is_file()), None)
        if kind is None:
            problems.say(f"{folder}: no findings; want a folder written by clo-gen sensitivity, "
                         "attribute, correlation, reverse-stress, tail, structure or hypo")
            continue
        try:
            with svg.styled():
                section = KINDS[kind](folder, f"other_{len(found) + 1}")
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            problems.say(f"{folder}: not as clo-gen writes it ({type(error).__name__}: {error})")
            continue
        found.append((list(KINDS).index(kind), section))
    problems.raise_if_any()
    return [section for _, section in sorted(found, key=lambda pair: pair[0])]


def _section(title, folder, note, charts, *frames):
    return {"title": title, "sheet": title.lower(), "note": f"{note} ({folder.name})",
            "charts": [(chart, None, None) for chart in charts],
            "tables": [_table(frame) for frame in frames],
            "frames": list(frames)}  # whole, for the workbook


def _table(frame):
    """A table for the page: its first MOST rows, numbers with four significant digits."""
    def shown(value):
        if isinstance(value, float | np.floating):
            return None if np.isnan(value) else float(f"{value:.4g}")
        return value.item() if isinstance(value, np.generic) else value

    rows = [["" if (cell := shown(v)) is None else cell for v in row]
            for row in frame.head(MOST).itertuples(index=False)]
    more = len(frame) - len(rows)
    return {"columns": [str(c).replace("_", " ") for c in frame.columns], "rows": rows,
            "note": f"and {more:,} more rows in tables.xlsx" if more > 0 else ""}


def _sensitivity(folder, key):
    check = read_written(folder / "check.csv")
    about, charts = read_json(folder / "summary.json"), []
    for n, (outcome, rows) in enumerate(check.groupby("outcome", sort=False), 1):
        figure = new_figure(4.4, 0.24 * len(rows) + 1.1, fits=True)
        ax = figure.add_subplot()
        sensitivity.tornado(ax, [f"{f}\n{b}" if len(f) > 22 else f"{f} {b}" for f, b in zip(
            rows["factor"].astype(str), rows["bump"].astype(str), strict=True)],
            rows["first_order"], rows[["revalued_up", "revalued_down"]], 1e4)
        ax.set(title=str(outcome), xlabel="change, bp")
        charts.append(svg.chart(f"{key}_{n}", str(outcome), figure))
    return _section("Sensitivities", folder, f"Effects of bumps in {about['scenario']}, "
                    "first order (bars: blue for up, red for down) and revalued (marks)", charts,
                    check[["outcome", "factor", "bump", "first_order", "revalued_up",
                           "revalued_down"]])


def _attribution(folder, key):
    rows, about = read_written(folder / "attribution.csv"), read_json(folder / "summary.json")
    between = " to ".join(about["between"])
    return _section("Attribution", folder, f"What the difference is made of: {between}", [],
                    rows.pivot_table(index="outcome", columns="factor", values="share", sort=False)
                    .reset_index())


def _correlation(folder, key):
    about = read_json(folder / "summary.json")
    pairs = read_written(folder / "default_correlation.csv")
    figure = new_figure(fits=True)
    columns = [(when, about[when]["share"], np.array(about[when]["share_error"], float))
               for when in ("before", "after") if about[when] is not None]
    correlation.variance_bars(figure.add_subplot(), about["sources"], columns)
    shares = svg.chart(f"{key}_shares", "Variance by source", figure)
    figure = new_figure(fits=True)
    correlation.by_horizon(figure.add_subplot(), pairs)
    return _section("Correlation", folder, "Loss variance by random source, default correlation; "
                    f"{about['scenario']}",
                    [shares, svg.chart(f"{key}_horizon", "Default correlation", figure)],
                    pairs[pairs["first"] == "all"])


def _tail(folder, key):
    title, rows = read_json(folder / "tail.json")["title"], read_written(folder / "tail.csv")
    charts = []
    if {f"{n}{w}" for n in ("plain", "tilted") for w in ("", "_half_width")} <= set(rows.columns):
        figure = new_figure(fits=True)
        ax = tail.intervals(figure.add_subplot(), rows.to_dict("records"))
        ax.set_title("Plain (grey) and tilted (red) paths")
        charts = [svg.chart(f"{key}_intervals", "Plain and tilted paths", figure)]
    return _section("Tail", folder, f"{title}; plain and tilted paths with half widths of 95 % "
                    "intervals", charts, rows)


def _structure(folder, key):
    rows, about = read_written(folder / "classes.csv"), read_json(folder / "summary.json")
    names = [str(name) for name in rows["class"]]
    figure = new_figure(fits=True)
    ax = structuring.sizes(figure.add_subplot(), names, rows["size_before"] / 1e6,
                           rows["size_after"] / 1e6)
    ax.set(title="Class sizes, before (grey) and after", ylabel=f"{about['currency']} millions")
    charts = [svg.chart(f"{key}_sizes", "Class sizes", figure)]
    figure = new_figure(fits=True)
    ax = structuring.against_limits(
        figure.add_subplot(), names, rows["loss_probability_after"], rows["error_after"],
        rows["limit_after"], about["request"]["checks"])
    ax.set(title="Loss probability, limit (dash)", ylabel="% (log)")
    charts.append(svg.chart(f"{key}_limits", "Loss probabilities and limits", figure))
    return _section("Structure", folder, f"{about['title']}. Class sizes and spreads before and "
                    "after; circles with arrows: no path lost, the probability is below", charts,
                    rows)


def _reverse_stress(folder, key):
    years = read_written(folder / "years.csv")
    return _section("Reverse stress", folder, "The likeliest macro paths of the event, by year",
                    [], years)


def _hypo(folder, key):
    obligors, results = read_written(folder / "obligors.csv"), read_written(folder / "results.csv")
    share = obligors["pct"].sort_values(ascending=False)
    figure = new_figure(fits=True)
    ladder = obligor_ladder(figure.add_subplot(), share.to_numpy())
    ladder.set(title=f"{len(share)} obligors", xlabel="obligor, by size", ylabel="% of pool")
    names = obligors["obligor"].astype(str)[share.index].tolist()
    values = Hover(ladder, list(range(1, len(share) + 1)), names,
                   [Line("share", (100 * share).round(4).tolist())])
    charts = [svg.chart(f"{key}_obligors", "Obligors", figure, (values,))]
    held = obligors.groupby("industry")["pct"].agg(["sum", "size"]).sort_values(
        "sum", ascending=False)
    figure = new_figure(fits=True)
    bars = industry_bars(figure.add_subplot(), held["sum"].to_numpy(), held["size"].to_numpy())
    bars.set(title=f"{len(held)} industries, obligors on top", xlabel="industry, by size",
             ylabel="% of pool")
    values = Hover(bars, list(range(1, len(held) + 1)), [f"industry {n}" for n in held.index],
                   [Line("share", (100 * held["sum"]).round(4).tolist())])
    charts.append(svg.chart(f"{key}_industries", "Industries", figure, (values,)))
    if (folder / "sdr_curve.json").exists():
        charts.append(_monitor(read_json(folder / "sdr_curve.json"), key))
    return _section("Hypo pool", folder, "HYPOTHETICAL: the worst pool that the limits allow",
                    charts, results.T.reset_index().set_axis(["number", "value"], axis=1))


def _monitor(curve, key):
    """SDR of the pool over its risk score against the adjusted BDR."""
    figure = new_figure(fits=True)
    ax = sdr_against_bdr(figure.add_subplot(), *(curve[k] for k in (
        "riskscore", "sdr", "bdr_less_cushion", "solution")))
    ax.legend(frameon=False)
    ax.set(title="CDO Monitor", xlabel="risk score of the pool", ylabel="%")
    lines = [Line("SDR", [round(100 * x, 4) for x in curve["sdr"]])]
    return svg.chart(f"{key}_monitor", "CDO Monitor", figure, (Hover(
        ax, curve["riskscore"], [f"risk score {x:.0f}" for x in curve["riskscore"]], lines),))


# By a file that only this analysis writes; in the order of the page.
KINDS = {"sensitivities.csv": _sensitivity, "attribution.csv": _attribution,
         "default_correlation.csv": _correlation, "years.csv": _reverse_stress, "tail.csv": _tail,
         "classes.csv": _structure, "obligors.csv": _hypo}
