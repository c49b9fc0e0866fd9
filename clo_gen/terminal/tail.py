"""What the command line prints of a tail study."""

from clo_gen.terminal.console import new_table


def table(report):
    """Rich table of jobs.tail.Report: each number by plain and by tilted paths."""
    out = new_table(report.title, ["", "plain", "tilted", "times\nnarrower", "z",
                                   "tail paths,\neffective"])
    for row in report.rows:
        effective = row["tilted_tail_paths"]
        out.add_row(row["number"], *(f"{100 * row[of]:.3f} +- {100 * row[f'{of}_half_width']:.3f} %"
                                     for of in ("plain", "tilted")),
                    "-" if row["ratio"] != row["ratio"] else f"{row['ratio']:.2f}",
                    f"{row['z']:+.1f}", "" if effective != effective else f"{effective:,.0f}")
    return out
