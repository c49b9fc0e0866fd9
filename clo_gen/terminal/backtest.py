"""What `clo-gen backtest` prints: short tables of what its files hold in full."""

from clo_gen.terminal.console import new_table


def _number(x, form):
    return "-" if x is None or x != x else format(x, form)


def _grouped(table, rows, heading, cells):
    """Adds `rows`, with a line of its own where their `heading` changes."""
    last = None
    for r in rows:
        if r[heading] != last:
            last = r[heading]
            table.add_section()
            table.add_row(last)
        table.add_row(*cells(r))
    return table


def _coverage(rows):
    table = new_table("VaR of default counts: exceptions", ["forecast", "VaR", "n", "exc.", "prom.",
                                                            "Kupiec", "indep.", "both", "zone",
                                                            "finds"])
    return _grouped(table, rows, "data", lambda r: (
        f"  {r['model']}", f"{r['level']:.0%}", str(r["periods"]), str(r["exceptions"]),
        f"{r['promised']:.2f}", f"{r['p_kupiec_exact']:.2f}", f"{r['p_independence_exact']:.2f}",
        f"{r['p_conditional_exact']:.2f}", r["zone"], f"{r['detectable']:.0%}"))


def _calibration(rows):
    table = new_table("whole forecasts", ["forecast", "defaults", "expected", "uniform",
                                          "Berkowitz", "log score", "CRPS"])
    return _grouped(table, rows, "data", lambda r: (
        f"  {r['model']}", str(r["defaults"]), f"{r['expected']:.1f}",
        f"{r['p_uniform_exact']:.3f}", f"{r['p_berkowitz']:.3f}", f"{r['log_score']:.3f}",
        f"{r['crps']:.3f}"))


def _loans(rows):
    table = new_table("single defaults", ["forecast", "loans", "def.", "AUC", "95 %", "Gini",
                                          "Brier", "skill"])
    return _grouped(table, rows, "data", lambda r: (
        f"  {r['model']}", f"{r['loans']:,}", str(r["defaults"]), _number(r["auc"], ".3f"),
        f"{_number(r['auc_low'], '.2f')}-{_number(r['auc_high'], '.2f')}",
        _number(r["gini"], ".3f"), f"{r['brier']:.5f}", _number(r["brier_skill"], ".1%")))


def _correlation(rows):
    table = new_table("asset correlation, maximum likelihood", [
        "history", "n", "defaults", "rho", "error", "95 %", "less bias"])
    return _grouped(table, rows, "data", lambda r: (
        f"  {r['groups']}", str(r["periods"]), f"{r['defaults']:,}",
        _number(r["correlation"], ".3f"), _number(r["std_error"], ".3f"),
        f"{r['low']:.3f}-{r['high']:.3f}", _number(r["bias_corrected"], ".3f")))


def _fits(rows):
    table = new_table("fitted distributions, best three by AIC", ["family", "n", "AIC", "BIC",
                                                                  "parameters"])
    best: list = []
    for r in rows:
        if sum(b["data"] == r["data"] for b in best) < 3:
            best.append(r)
    return _grouped(table, best, "data", lambda r: (
        f"  {r['family']}", f"{r['observations']:,}", f"{r['aic']:,.1f}", f"{r['bic']:,.1f}",
        r["parameters"]))


def _classes(rows):
    table = new_table("simulated loss probability beside its rating's rate over the WAL",
                      ["class", "rating", "WAL", "P(loss)", "at most", "S&P", "idealised",
                       "within", "ordered"])

    return _grouped(table, rows, "scenario", lambda r: (
        f"  {r['class']}", r["rating"], _number(r["wal_years"], ".1f"),
        f"{r['loss_probability']:.2%}", f"{r['p_high']:.2%}",
        _number(r["historical_rate"], ".2%"), _number(r["idealised_rate"], ".2%"),
        r["within"], "yes" if r["ordered"] else "NO"))


_TABLES = {"coverage": _coverage, "calibration": _calibration, "loans": _loans,
           "correlation": _correlation, "fits": _fits, "classes": _classes}


def tables(report):
    """A table for each part of the report that has rows."""
    return [make(report.tables[name]) for name, make in _TABLES.items() if report.tables.get(name)]


def notes(report, written):
    """Lines below the tables: what the numbers mean, and what they cannot tell."""
    rows = report.tables.get("coverage", [])
    for r in rows:
        if r["verdict"] == "exceeded too often":
            yield (f"VaR {r['level']:.0%} of {r['data']} by {r['model']}: {r['exceptions']} "
                   f"exceptions where {r['promised']:.1f} were promised")
    if rows:
        yield ("exc.: exceptions in n periods; prom.: what the whole-numbered VaRs leave; Kupiec, "
               "indep., both, uniform, Berkowitz: exact or simulated p-values; finds: the true "
               "exception rate that the Kupiec test would find with 80 % power")
    if report.tables.get("classes"):
        yield ("S&P: default rate 1981-2016 of the letter; idealised: a recalled stand-in for "
               "Moody's table; at most: upper 95 % limit of P(loss); ordered: by seniority")
    yield from dict.fromkeys(f"{r['model']}: {r['note']}" for r in report.tables.get(
        "calibration", []) if "prior" in r["note"])
    yield from dict.fromkeys(f"class {r['class']}: {r['note']}" for r in report.tables.get(
        "classes", []) if r["note"])
    yield from report.notes
    yield from (f"{part}: {about['kind']} - {about['source']}"
                for part, about in report.sources.items())
    yield f"written to {written} (CSV tables, backtest.json, backtest.png)"
