"""`clo-gen quality`: collateral quality and concentration tests of a tape; no simulation."""

import dataclasses
import datetime
import functools

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.hypo.quality import names_of_tests, quality, with_recovery_modifier
from clo_gen.hypo.records import DiversityTable, Positions, QualityLimits
from clo_gen.io.config import RecoveryConfig, cutoff_month
from clo_gen.io.csv_file import csv_text
from clo_gen.io.folders import new_file, want_new_file
from clo_gen.io.hypo_tables import diversity_table, moodys_rating_factors
from clo_gen.io.macro import read_macro
from clo_gen.io.problems import InputError, collect_complaints
from clo_gen.io.quality import Holdings, holdings, largest_names, members
from clo_gen.io.quality_limits import LimitTerms, read_limits
from clo_gen.io.tables import data_path
from clo_gen.io.tape import ColumnMap, read_column_map, read_tape
from clo_gen.states import RATING

UNITS = ("score", "score", "yearly fraction", "fraction", "years")  # then shares
_AT_LEAST = ("diversity score", "spread", "recovery")
_SHOWN = {"score": lambda x: f"{x:,.2f}", "yearly fraction": lambda x: f"{x * 1e4:,.1f} bp",
          "fraction": lambda x: f"{x:.2%}", "share": lambda x: f"{x:.2%}",
          "years": lambda x: f"{x:.2f} y"}


@dataclasses.dataclass(frozen=True)
class QualityReport:
    """One row a test, in the order of hypo.quality.names_of_tests, and what to know about them."""

    rows: tuple[dict, ...]  # test, of, unit, result, sense, threshold, cushion, passes, ...
    notes: tuple[str, ...]


def quality_job(tape_path, limits_path, *, cutoff, out=None, before=None, indices=None,
                columns=None):
    """QualityReport of a tape (CSV or Parquet) under the limits of a deal (TOML).

    `cutoff` is the date of the test (date or "2025-10-15"), `out` a CSV file for all rows, `before`
    the tape of an earlier portfolio, for maintain or improve, `indices` {benchmark: yearly rate at
    the cut-off} (else SOFR, for which the last federal funds rate known then stands), `columns` a
    column map (TOML). Raises InputError with every problem. Wants jax's double precision: ties
    and table steps are judged to 1e-9.
    """
    cutoff, out = _date(cutoff), None if out is None else want_new_file(out, ".csv")
    indices, notes = (indices, ()) if indices else _sofr(cutoff)
    column_map = read_column_map(columns) if columns else ColumnMap()
    read = functools.partial(
        read_tape, cutoff=cutoff, space=RATING, indices=tuple(indices), columns=column_map,
        recovery_by_lien=RecoveryConfig().by_lien)
    paths = [tape_path] if before is None else [tape_path, before]
    terms, *tapes = collect_complaints([functools.partial(read_limits, limits_path),
                          *(functools.partial(read, path) for path in paths)])
    rates = np.array(list(indices.values()))
    held = collect_complaints([functools.partial(holdings, tape, rates, terms.basis)
                               for tape in tapes])
    member = collect_complaints([functools.partial(members, h, terms.groups) for h in held])
    found = None
    for portfolio in reversed(list(zip(held, member, strict=True))):  # the earlier one first
        found = _quality(positions_of(*portfolio), terms, found)
    rows = _rows(found, held[0], terms, has_before=before is not None)
    if out is not None:
        with new_file(out) as draft:
            draft.write_text(csv_text(rows), encoding="utf-8")
    return QualityReport(rows, (*notes, *held[0].notes))


def read_portfolio(tape_path, limits_path, *, cutoff, indices=None, columns=None):
    """(Positions, QualityLimits, Holdings) of a tape under a deal's limits, as the solves of
    hypo.constrained take them; the arguments are those of quality_job."""
    cutoff = _date(cutoff)
    indices = indices or _sofr(cutoff)[0]
    terms = read_limits(limits_path)
    tape = read_tape(tape_path, cutoff=cutoff, space=RATING, indices=tuple(indices),
                     columns=read_column_map(columns) if columns else ColumnMap(),
                     recovery_by_lien=RecoveryConfig().by_lien)
    held = holdings(tape, np.array(list(indices.values())), terms.basis)
    positions = positions_of(held, members(held, terms.groups))
    return positions, _limits_at(terms, positions), held


def positions_of(held: Holdings, member):
    """Positions of a tape's holdings and their membership [G, L]."""
    real = [jnp.asarray(x, float) for x in (held.spread, held.recovery, held.life, member)]
    return Positions(jnp.asarray(held.share, float), jnp.asarray(held.obligor),
                     jnp.asarray(held.industry), jnp.asarray(held.rating), *real)


def limits_of(terms: LimitTerms):
    """QualityLimits of a deal's terms, infinite where there is no limit, on Moody's 21 factors."""
    def or_none(value, none, scale=1.0):
        return jnp.asarray(none if value is None else value * scale, float)

    bound, score = diversity_table()
    return QualityLimits(
        dscore_min=or_none(terms.diversity_min, -np.inf),
        riskscore_max=or_none(terms.warf_max, np.inf),
        was_min=or_none(terms.was_min_bps, -np.inf, 1e-4),
        warr_min=or_none(terms.warr_min, -np.inf), wal_max=or_none(terms.wal_max_years, np.inf),
        ob_max=or_none(terms.obligor_max, np.inf), ind_max=or_none(terms.industry_max, np.inf),
        ob_exceptions=jnp.asarray(terms.obligor_exceptions, float),
        ind_exceptions=jnp.asarray(terms.industry_exceptions, float),
        group_max=jnp.asarray([group.max for group in terms.groups], float),
        risk_score=jnp.asarray(moodys_rating_factors(), float),
        diversity=DiversityTable(jnp.asarray(bound, float), jnp.asarray(score, float)))


def as_table(rows):
    """Short rich table: averages, groups, and of each ladder what fails or else is tightest."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, justify in (("test", "left"), ("result", "right"), ("limit", "right"),
                          ("cushion", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        if _is_short(row, rows):
            show = _SHOWN[row["unit"]]
            limited = row["threshold"] is not None
            table.add_row(row["test"] + (f" ({row['of']})" if row["of"] else ""),
                          show(row["result"]),
                          f"{row['sense']} {show(row['threshold'])}" if limited else "none",
                          show(row["cushion"]) if limited else "", _verdict(row))
    return table


def _is_short(row, rows):
    """Whether a row belongs in the short table."""
    if not row["of"] or row["passes"] is False:
        return True
    kind = row["test"].split()[0]
    rungs = [r for r in rows if r["of"] and r["test"].split()[0] == kind]
    fails = any(r["passes"] is False for r in rungs)
    return not fails and row is min(rungs, key=lambda r: r["cushion"] or 0.0)


def _verdict(row):
    if row["threshold"] is None:
        return ""
    if row["passes"]:
        return "pass"
    return "fails, maintained" if row["maintained"] else "FAILS"


def _date(cutoff):
    if isinstance(cutoff, datetime.datetime):
        return cutoff.date()
    try:
        return cutoff if isinstance(cutoff, datetime.date) else datetime.date.fromisoformat(cutoff)
    except (TypeError, ValueError):
        raise InputError(f"cutoff: {cutoff!r}; want a date such as 2025-10-15") from None


def _sofr(cutoff):
    """({"SOFR": the yearly rate that stands for it at the cut-off}, (a sentence about it,))."""
    month = cutoff_month(cutoff)
    macro = read_macro(data_path("macro_monthly_1959_2026.csv"))
    history = macro.until(month, ("policy_rate",))["policy_rate"]
    rate = float(history.iloc[-1])
    return {"SOFR": rate}, (f"SOFR at the cut-off: {rate:.2%}, the federal funds rate of "
                            f"{history.index[-1]}",)


def _quality(positions, terms, before):
    """Quality of a portfolio on the host; its recovery moves the limit of the risk score."""
    limits = _limits_at(terms, positions)
    return jax.device_get(jax.jit(quality)(positions, limits, before))


def _limits_at(terms, positions):
    """QualityLimits at the portfolio's recovery."""
    if terms.warf_recovery_base is None:
        return limits_of(terms)
    return with_recovery_modifier(limits_of(terms), positions, terms.warf_points_per_recovery,
                                  terms.warf_recovery_base)


def _rows(found, held, terms, *, has_before):
    """One dict a test; a test without a limit has None for threshold, cushion and passes."""
    counts = (len(terms.obligor_exceptions), len(terms.industry_exceptions))
    groups = [group.name for group in terms.groups]
    names = names_of_tests(*counts, groups)
    of = [""] * len(UNITS)
    for kind, count in zip(("obligor", "industry"), counts, strict=True):
        who = largest_names(held, kind, count + 1)
        of += who + ["-"] * (count + 1 - len(who))
    of += [""] * len(groups)
    units = (*UNITS, *["share"] * (len(names) - len(UNITS)))
    limited = np.isfinite(found.threshold)
    columns = {"threshold": found.threshold, "cushion": found.cushion, "passes": found.passes}
    columns |= {"maintained": found.maintained} if has_before else {}
    return tuple({
        "test": name, "of": of[q], "unit": units[q], "result": found.result[q].item(),
        "sense": "at least" if q < len(UNITS) and name in _AT_LEAST else "at most",
        "threshold": None, "cushion": None, "passes": None, "maintained": None,
        **{key: x[q].item() for key, x in columns.items() if limited[q]},
    } for q, name in enumerate(names))
