"""Tables of the benchmark."""

from clo_gen.terminal.console import new_table


def _rate(row):
    x = row["per_s"]
    return (f"{x / 1e6:,.3g} million" if x >= 1e6 else f"{x:,.0f}" if x >= 1e3 else f"{x:.3g}"
            ) + f" {row['unit']}"


def table(rows):
    """What each case took; a failed one says so. Sizes are in the rows themselves."""
    found = new_table("", ["case", "compile, s", "run, s", "spread", "a second", "MB"])
    found.columns[0].no_wrap = found.columns[4].no_wrap = True
    for row in rows:
        if "error" in row:
            found.add_row(row["case"], "", "", "", "FAILED")
            continue
        found.add_row(row["case"], f"{row['compile_s']:.1f}", f"{row['median_s']:.3g}",
                      f"{row['spread_s']:.2g}", _rate(row),
                      "" if row["peak_mb"] is None else f"{row['peak_mb']:,}")
    return found


def growth_table(grown):
    """Time and memory of ten times the work, as multiples of the first row."""
    found = new_table("growth", ["", "run, s", "times", "MB", "times"])
    for row in grown:
        found.add_row(row["label"], f"{row['median_s']:.3g}", f"{row['time']:.2f}",
                      f"{row['peak_mb']:,}", f"{row['memory']:.2f}")
    return found


def notes(rows, out):
    """Lines below the table: errors, what was measured and how, where the files are."""
    for row in rows:
        if "error" in row:
            yield f"{row['case']} failed: {row['error']}"
        if "weights" in row:
            yield f"{row['case']}: weights {row['weights']}"
    last = rows[-1]
    yield (f"{last['machine']}, jax {last['jax']}, commit {last['commit']}; run: median of 5, "
           "spread: longest less shortest, MB: the most its process held")
    if out is not None:
        yield f"written to {out} (bench.jsonl, pictures)"
