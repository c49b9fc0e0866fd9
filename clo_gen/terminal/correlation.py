"""What the command line prints of a correlation study."""

from clo_gen.analysis.variance import NAMES
from clo_gen.terminal.console import new_table


def tables(report):
    """Rich tables of correlation_job.Report: shares by source, default correlation by rating."""
    told = [("share", report.before)]
    told += [] if report.after is None else [("after", report.after)]
    of_class = "of the class" + ("" if report.after is None else ", after")
    told += [] if report.of_class is None else [(of_class, report.of_class)]
    target = report.summary["target"]
    columns = ["variance of the pool's loss from"] + ["target"] * (target is not None)
    shares = new_table(report.title, columns + [name for name, _ in told])
    for k, name in enumerate(NAMES):
        shares.add_row(name, *([f"{target[k]:.1f} %"] if target else []),
                       *(f"{s.share[k]:.1%} +- {s.share_error[k]:.1%}" for _, s in told))
    shares.add_section()
    for name, of in (("mean loss", lambda s: s.mean), ("standard deviation", lambda s: s.sd)):
        shares.add_row(name, *([""] if target else []), *(f"{of(s):.2%}" for _, s in told))
    return shares, _pair_lines(report)


def _pair_lines(report):
    p = report.pairs
    months = p["months"].unique()
    at = "" if report.after is None else " at the calibrated loadings"
    out = new_table(
        f"default correlation of pairs{at}, % (copula at {report.rho:.3f})",
        ["", *(f"{m // 12} y" for m in months), f"copula\n{months[-1] // 12} y",
         f"implied\nasset, {months[-1] // 12} y"])
    chosen = p[p["pairs"] != "industries"]
    for (kind, first, second), rows in chosen.groupby(["pairs", "first", "second"], sort=False):
        if rows["correlation"].isna().all() or (first != "all" and kind == "all pairs"):
            continue
        last = rows.iloc[-1]
        out.add_row(kind if first == "all" else f"{first}-{second}, {kind.split()[0]}",
                    *(f"{100 * c:.1f} +- {100 * e:.1f}" for c, e in zip(
                        rows["correlation"], rows["error"], strict=True)),
                    f"{100 * last['copula_correlation']:.1f}",
                    f"{100 * last['implied_asset_correlation']:.1f}")
    return out
