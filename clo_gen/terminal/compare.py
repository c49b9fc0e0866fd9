"""What `clo-gen compare` prints."""

from clo_gen.terminal.console import new_table


def tables(found):
    """Rich tables of jobs.compare.Comparison: one a scenario, a column a run."""
    return [_table(scenario, rows, found.runs)
            for scenario, rows in found.table.groupby("scenario", sort=False)]


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
    rows = [f"{r.run}: {r.deal}, {r.loans:,} loans, {r.paths:,} paths, mode {r.mode}, seed "
            f"{r.seed}; synthetic: {r.synthetic}" for r in found.settings.itertuples()]
    return [*rows, f"written to {written} (compare.csv with errors, IRR and price; compare.png)"]
