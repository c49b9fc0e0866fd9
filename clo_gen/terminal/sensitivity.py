"""What the command line prints of sensitivities and attributions."""

import numpy as np

from clo_gen.terminal.console import new_table

GAP = 1e-9  # of an attribution's end, above which it is said


def sensitivity_tables(report, most=6):
    """The largest bars of each headline outcome: first order beside bump-and-revalue, in bp."""
    for name, rows in report.checks.items():
        base = report.base[report.outcomes.index(name)]
        table = new_table(f"{name}, {base:.2%} in {report.about['scenario']}: effect in bp of",
                          ["", "bump", "first order", "+-", "revalued", "up", "hard up"])
        place, factors = report.outcomes.index(name), [f.name for f in report.factors]
        for row in rows[:most]:
            error = report.errors[factors.index(row["factor"]), place]
            table.add_row(row["factor"], row["bump"], *(
                f"{x * 1e4:,.1f}" if np.isfinite(x) else "-" for x in (
                    row["first_order"], error, row["revalued_central"], row["revalued_up"],
                    row["revalued_up_hard"])))
        yield table


def _is_bent(row):
    """Whether a bump up and the same bump down do not mirror each other, as at a kink."""
    up, central = row["revalued_up"], row["revalued_central"]
    return abs(up - central) > 0.25 * max(abs(central), abs(up))


def sensitivity_notes(report, written):
    """Lines below the tables of a sensitivity analysis."""
    about = report.about
    yield ("+-: Monte Carlo standard error; revalued: half the difference between bump up and "
           "down, up: bump up alone, with soft tests; hard up: with hard tests")
    for name, rows in report.checks.items():
        if rows:
            far, near = (max(row[key] for row in rows) for key in (
                "difference", "difference_small"))
            bent = sum(_is_bent(row) for row in rows)
            yield (f"{name}: first order is within {far:.1%} of bump-and-revalue on its "
                   f"{len(rows)} largest bars, within {near:.2%} at a tenth of the bumps"
                   + (f"; of {bent} of them up and down differ by more than a quarter" if bent
                      else ""))
    if not np.isfinite(report.errors).any():
        yield "no standard errors: they need at least two blocks of paths"
    totals, top = about["contributions"], report.contributions.head(10)
    level = max(k for k in totals if k.startswith("cvar"))
    yield (f"contributions ({totals['mode']}, {totals['paths']:,} paths): expected loss "
           f"{totals['expected_loss']:.2%}, {level.replace('_', ' ').upper()} {totals[level]:.2%}, "
           f"of which {len(top)} of {len(report.contributions):,} loans make "
           f"{top[f'{level}_share'].sum():.1%} with {top['par'].sum():.1%} of par")
    tape = about["data"]["tape"]
    yield f"tape: {tape['kind']} - {tape['source']}"
    yield (f"{about['paths']} paths, temperature {about['temperature']:g}, "
           f"{about['seconds']:.0f} s; written to {written} (open tornado.png)")


def attribution_table(report):
    """Shares of the factors in the difference of the headline outcomes, in bp."""
    found, places = report.found, [report.outcomes.index(name) for name in report.headlines]
    start, end = report.about["between"]
    table = new_table(f"from {start}\nto {end}\nby {report.about['method']}, bp",
                      ["", *report.headlines])

    def add(label, values):
        table.add_row(label, *(f"{values[o] * 1e4:,.1f}" for o in places))

    add("start", found.start)
    for name, share in found.shares.items():
        add(name, share)
    add("residual", found.residual)
    add("end", found.end)
    if report.hard_total is not None:
        table.add_section()
        add("total, soft tests", found.total)
        add("total, hard tests", report.hard_total)
    return table


def attribution_notes(report, written):
    """Lines below the table of an attribution."""
    about = report.about
    yield (f"residual at most {about['residual']:.2%} of the total, over all outcomes that change "
           f"by 1 bp; {about['evaluations']} evaluations, {about['paths']} paths, temperature "
           f"{about['temperature']:g}, {about['seconds']:.0f} s")
    if (about["gap"] or 0.0) > GAP:
        yield (f"WARNING: the mixture of all parts is {about['gap']:.2g} away from the second "
               "config's own value: something between the two is no part")
    yield from dict.fromkeys(f"tape: {data['tape']['kind']} - {data['tape']['source']}"
                             for data in about["data"])
    yield f"written to {written} (open attribution.png)"
