"""report.html: one file without network; every string from data is escaped by the template."""

import json
import pathlib

import jinja2
import markupsafe

_HERE = pathlib.Path(__file__).parent
SECTIONS = {
    "macro": ("Macro paths", "Median and 5-95 % band of the paths; lines that coincide hide each "
              "other."),
    "transitions": ("Rating transitions", "Mean over macro paths of yearly matrices, not weighted "
                    "by the pool, without cohort, industry and region factors."),
    "pool": ("Losses of the pool", "Shares of initial par. VaR and CVaR are of the lifetime loss; "
             "intervals are Monte Carlo errors, not model errors."),
    "coverage": ("Coverage tests", "The axes of OC ratios end at 200 %, values shown at 300 %. "
                 "Below each test the share of paths on which it fails on a date; before it "
                 "applies it cannot."),
    "cash": ("Who gets the cash", "Interest and principal by payee, mean over paths."),
}


def write_page(path, run, charts, others, colors):
    """Writes the page `path`.

    `run` {"summary", "evaluation", "data"} is what the run's files hold, `charts` {section:
    [(Chart, scenario, class)]} as plots.run_charts.charts gives them, `others` [{"title", "note",
    "charts", "tables"}] what other analyses found (a table is {"columns", "rows"}, as text or
    numbers), `colors` the scenarios' own.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True,
                                     loader=jinja2.FileSystemLoader(_HERE))
    environment.globals |= {"pct": _percent, "words": lambda name: name.replace("_", " ")}
    environment.filters |= {"svg": _svg, "hover": _hover, "number": _number}
    page = environment.get_template("page.html.j2").render(
        s=run["summary"], e=run["evaluation"], d=run["data"], charts=charts, others=others,
        colors=colors, sections=SECTIONS, names=list(run["summary"]["scenarios"]),
        style=_file("style.css"), script=_file("script.js"))
    path.write_text(page, encoding="utf-8")


def _file(name):
    return markupsafe.Markup((_HERE / name).read_text(encoding="utf-8"))


def _svg(chart):
    """A chart's SVG, which matplotlib has escaped."""
    return markupsafe.Markup(chart.svg)


def _hover(chart):
    """A chart's values as JSON that cannot end its <script> element."""
    text = json.dumps(chart.hover, separators=(",", ":"), allow_nan=False)
    return markupsafe.Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))


def _number(x):
    """A number for a reader; text as it is."""
    if not isinstance(x, int | float) or isinstance(x, bool):
        return x
    return f"{x:,.0f}" if abs(x) >= 9999.5 else f"{x:.4g}"


def _percent(x):
    return "" if x is None else f"{100 * x:.2f}%"
