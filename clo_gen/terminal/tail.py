"""What the command line prints of a tail study."""

from clo_gen.terminal.console import new_table


def table(report):
    """Rich table of jobs.tail.Report: each number by plain and by tilted paths."""
    out = new_table(report.title, ["", "plain, %", "tilted, %", "times\nnarrower", "z",
                                   "tail paths,\neffective"])
    def number(x, form):
        return "-" if x != x else format(x, form)

    for row in report.rows:
        out.add_row(row["number"], *(
            f"{100 * row[of]:.3f} +- {number(100 * row[f'{of}_half_width'], '.3f')}"
            for of in ("plain", "tilted")), number(row["ratio"], ".2f"), number(row["z"], "+.1f"),
            "" if row["tilted_tail_paths"] != row["tilted_tail_paths"] else
            f"{row['tilted_tail_paths']:,.0f}")
    return out
