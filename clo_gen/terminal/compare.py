"""What `clo-gen compare` prints."""

from clo_gen.terminal.console import new_table


def tables(found):
    """Rich tables of jobs.compare.Comparison: one a scenario, a column a run; or the one table of
    jobs.experiments.Experiments."""
    if "figure" in found.table:
        return [_figures(found)]
    return [_table(scenario, rows, found.runs)
            for scenario, rows in found.table.groupby("scenario", sort=False)]


def _figures(found):
    table = new_table("measured beside expected", ["experiment", "figure", "value", "expected", ""])
    words = {True: "held", False: "MISSED", None: ""}
    for r in found.table.astype(object).itertuples():
        value, low, high = (None if x is None or x != x else f"{x:.4g}"
                            for x in (r.value, r.low, r.high))
        bounds = (f"{low} to {high}" if low and high else f"at least {low}" if low
                  else f"at most {high}" if high else "")
        judged = words[None if r.holds is None or r.holds != r.holds else bool(r.holds)]
        table.add_row(r.run, r.figure, value or "-", bounds,
                      "small run" if r.small and judged else judged)
    return table


def _table(scenario, rows, runs):
    table = new_table(scenario.replace("_", " "), ["", *runs])
    cells = {(r.of, r.quantity, r.run): r.value for r in rows.itertuples()}

    def cell(of, quantity, run):
        value = cells.get((of, quantity, run))
        return "-" if value is None or value != value else f"{value:.2%}"

    for quantity, label in (("expected_loss", "pool EL"), ("var_99", "pool VaR 99"),
                            ("cvar_99", "pool CVaR 99")):
        table.add_row(label, *(cell("pool", quantity, run) for run in runs))
    table.add_section()
    for of in dict.fromkeys(rows["of"]):
        if of != "pool":
            table.add_row(f"{of} P(loss), EL", *(
                f"{cell(of, 'loss_probability', run)} {cell(of, 'expected_loss', run)}"
                for run in runs))
    return table


def notes(found, written):
    """Lines below the tables."""
    if "figure" in found.table:
        rows = [f"{r.run}: {' '.join(r.question.split())} ({r.seconds:.0f} s)"
                for r in found.settings.itertuples()]
        return [*rows, f"written to {written} (compare.csv, compare.png)"]
    rows = [f"{r.run}: {r.deal}, {r.loans:,} loans, {r.paths:,} paths, mode {r.mode}, seed "
            f"{r.seed}; synthetic: {r.synthetic}" for r in found.settings.itertuples()]
    return [*rows, f"written to {written} (compare.csv with errors, IRR and price; compare.png)"]
