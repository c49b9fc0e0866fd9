"""What the command line prints: short tables of results that files hold in full."""

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def say(text):
    """Prints a line as it is, without markup or wrapping."""
    Console().print(text, highlight=False, markup=False, soft_wrap=True)


def show(table):
    """Prints a table. Names come from data: brackets and colons in them are what they are."""
    Console(markup=False, emoji=False).print(table)


def new_table(title, columns):
    """Table whose first column is text and the others numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left", title=title)
    for n, name in enumerate(columns):
        table.add_column(name, justify="right" if n else "left", overflow="fold")
    return table


def run_table(summary):
    """Losses of the pool and of every class, scenario by scenario."""
    scenarios, deal = summary["scenarios"], summary["deal"]
    table = new_table(f"{deal['name']}: {summary['paths']:,} paths a scenario, "
                      f"{deal['currency']} {deal['par'] / 1e6:,.1f}m par",
                      ["", "enh.", *(n.replace("_", " ", 1).replace(" ", "\n") for n in scenarios)])
    for label, key in (("pool EL", "expected_loss"), ("  std. error", "std_error"),
                       ("pool VaR 99", "var_99"), ("pool CVaR 99", "cvar_99")):
        table.add_row(label, "", *(f"{s['portfolio'][key]:.2%}" for s in scenarios.values()))
    table.add_section()
    table.add_row("class", "", *("P(loss)  EL" for _ in scenarios))
    for tranche, enhancement in deal["credit_enhancement"].items():
        cells = (s["tranches"][tranche] for s in scenarios.values())
        table.add_row(tranche, f"{max(enhancement, 0):.1%}", *(
            f"{t['loss_probability']:.1%} {t['expected_loss']:5.1%}" for t in cells))
    return table


def run_notes(summary, evaluation, written):
    """Lines below the table of a run."""
    timing = summary["timing"]
    return [*(f"{name}: {data['kind']} - {data['source']}"
              for name, data in summary["data"].items()),
            f"held-out: {evaluation['transitions']['verdict']}",
            *(["VaR 99 and CVaR 99 of fewer than 100 paths are the worst path"]
              if summary["paths"] < 100 else []),
            f"cash in = cash out to {summary['cash_conservation_error']:.1e} of par; "
            f"fit {timing['fit_s']:.1f} s, compile {timing['compile_s']:.1f} s, "
            f"run {timing['run_s']:.1f} s", *_broken(summary, written),
            *_checks(summary["checks"]),
            f"written to {written} (open report.html)"]


def _broken(summary, written):
    """A warning where paths were left out because a number was not finite."""
    counts = {name: len(s["broken_paths"]) for name, s in summary["scenarios"].items()}
    if not any(counts.values()):
        return []
    listed = ", ".join(f"{name} {n}" for name, n in counts.items() if n)
    return [f"WARNING: paths with numbers that are not finite are in no figure: {listed} (their "
            f"numbers: {written}/summary.json; --check names the operation)"]


def _checks(checks):
    if checks is None:
        return []
    found = checks["found"]
    return [f"checked {checks['checked']:,} paths under checkify: "
            + (f"{len(found)} make a NaN, first scenario {found[0]['scenario']}, path "
               f"{found[0]['path']}: {found[0]['error']} (checks.json)" if found else "no NaN")]


def distribution_table(d):
    """What every class and fee got from given collections, in millions."""
    terms, par, c = d.deal.terms, d.deal.par, d.cash
    table = new_table(f"{terms.name}: {len(d.collections.pay_dates)} payments, "
                      f"{terms.currency} {par / 1e6:,.1f}m par, priced at {d.rate:.2%}",
                      ["", "balance", "interest", "principal", "unpaid", "WAL, y", "price, %",
                       "IRR"])

    def million(x):
        return f"{float(x) * par / 1e6:,.2f}"

    def number(x, form):
        return format(x, form) if x == x else "-"

    for k, name in enumerate(d.deal.classes):
        n = d.numbers[name]
        debt_left = c.balance[-1, k] + c.unpaid[-1, k] if k < len(d.deal.classes) - 1 else 0.0
        table.add_row(name, million(d.deal.deal.balance[k]), million(c.interest[:, k].sum()),
                      million(c.principal[:, k].sum()), million(debt_left),
                      number(n["wal_years"], ".2f"), number(n["price"] * 100, ".2f"),
                      number(n["irr"], ".2%"))
    table.add_section()
    for f, name in enumerate(d.deal.fees):
        table.add_row(name, "", million(c.fees[:, f].sum()), "", million(c.fee_unpaid[-1, f]))
    if c.incentive.any():
        table.add_row("incentive fee", "", million(c.incentive.sum()))
    return table


def happened(d):
    """What an analyst asks first: failed tests, a call, acceleration."""
    dates, c = d.collections.pay_dates, d.cash
    for q, name in enumerate(d.deal.tests):
        trigger = d.deal.deal.trigger[q] * d.deal.calendar.tested[:, q]
        failed = (c.ratio[:, q] > 0) & (c.ratio[:, q] < np.asarray(trigger) * (1 - 1e-12))
        if failed.any():
            yield (f"{name} failed on {failed.sum()} of {len(dates)} dates, first "
                   f"{dates[failed.argmax()]}; repaid or diverted "
                   f"{float(c.cure[:, q].sum()) * d.deal.par / 1e6:,.2f}")
    for what, weight in (("called", c.called), ("accelerated", c.accelerated)):
        if (weight > 0.5).any():
            yield f"{what} on {dates[(weight > 0.5).argmax()]}"


def break_even_table(name, rows):
    """First-loss CDRs by prepayment rate and severity."""
    table = new_table(f"{name}: first-loss CDR (constant yearly default rate)", rows[0])
    for row in rows:
        table.add_row(*(f"{x:.0%}" if key in ("cpr", "severity") else f"{x:.2%}"
                        for key, x in row.items()))
    return table


def hypo_table(report, most=20):
    """Results of the first `most` deals."""
    table = new_table(f"{len(report.pools):,} deals" if len(report.pools) > 1 else "",
                      ["deal", "solved", "div.", "risk", "ob.", "ind.", "names", "monitor", "SDR",
                       "BDR"])
    for row in report.rows()[:most]:
        monitor = ["", "", ""]
        if "monitor_sdr" in row:
            monitor = [f"{row['monitor_riskscore_solution']:.0f}"
                       if row["monitor_is_solve"] else "FAILS",
                       f"{row['monitor_sdr']:.1%}", f"{row['monitor_adj_bdr']:.1%}"]
        table.add_row(row["deal"], row["stage"] if row["is_solve"] else "NO",
                      f"{row['dscore']:.1f}", f"{row['riskscore']:.0f}", f"{row['ob_base']:.2%}",
                      f"{row['ind_base']:.1%}", str(row["n_obligors"]), *monitor)
    return table


def hypo_notes(report):
    """Lines below the table: what it shows, and on which tables the numbers rest."""
    yield ("solved: the stage, NO without a pool within the limits; ob., ind.: base limits found; "
           "monitor: worst risk score of two neighbouring ratings that passes; BDR: adjusted")
    if len(report.pools) > 20:
        yield f"and {len(report.pools) - 20:,} more"
    for name, found in (("limits", report.pools), ("CDO Monitor", report.monitors)):
        labels = dict.fromkeys(f["tables"] if isinstance(f, dict) else f.tables
                               for f in found if f is not None)
        yield from (f"{name}, tables: {label}" for label in labels)


def training_table(trained):
    """What each level of a training run reached."""
    table = new_table("stage 1: each level on its own data",
                      ["level", "data", "epochs", "kept", "held-out score", "seconds"])
    for t in trained:
        table.add_row(t.level, t.kind, str(t.epochs), str(t.best_epoch), f"{t.held_out:.5g}",
                      f"{t.seconds:.1f}")
    return table


def _figure(x, unit):
    return f"{x:.2%}" if unit == "share" else f"{x:,.4g}"


def evaluation_tables(level, metrics):
    """A table for each split of the level's metrics that have a target (of all, where none has)."""
    tables: dict = {}
    for m in [m for m in metrics if m.target] or metrics:
        table = tables.setdefault(m.split, new_table(
            Text(f"{level}: {m.split}"), ["metric", "value", "baseline", "", "", "target"]))
        baseline = "" if m.baseline is None else _figure(m.baseline, m.unit)
        table.add_row(m.name + (f", {m.unit}" if m.unit not in ("", "share") else ""),
                      _figure(m.value, m.unit), baseline, m.baseline_name, m.verdict, m.target)
    return list(tables.values())


def evaluation_notes(metrics):
    """Lines below the table of a level: what a baseline wins, in plain words."""
    compared = [m for m in metrics if m.verdict]
    lost = dict.fromkeys(f"{m.name} ({m.baseline_name})" for m in compared
                         if m.verdict == "BASELINE WINS")
    lines = [f"  a baseline wins {len(lost)} of {len(compared)} comparisons"
             + (f": {'; '.join(lost)}" if lost else "")]
    more = sum(not m.target for m in metrics) % len(metrics)
    return lines + ([f"  {more} more numbers without a target are in the file"] if more else [])
