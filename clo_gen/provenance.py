"""Where everything in a run came from: what is real, what is the user's, what is assumed."""

import pathlib

from clo_gen.io import tables
from clo_gen.io.config import cutoff_month
from clo_gen.io.synthetic import HYPOTHETICAL, LABEL


def of_run(config, counts, tape, deal, market, trained):
    """{part: {"kind", "source", "notes"}} of macro, transitions, tape and deal.

    `trained` is what a learned transition model, level 3 and a calibration say of their data, None
    for others.
    """
    trained, lives, fitted_to = trained
    macro = market.history
    embedded = config.macro.source == "embedded"
    labels = set(tape.frame.get("data_label", ()))
    made = [name for name in (LABEL, HYPOTHETICAL) if name in labels]
    shipped = tables.is_shipped(deal.source)
    constructed = deal.terms.source.startswith("constructed")
    vintage = ["revised data, 2026-08 vintage"] if embedded else []
    cutoff = cutoff_month(deal.terms.closing)
    learned, given = (config.macro.generator == name for name in ("cvae", "paths"))
    if given:
        notes = [f"drawn from {len(market.params.values):,} given paths, with replacement: "
                 f"{config.macro.paths}"]
    else:
        notes = [(f"cvae of {config.macro.run} trained until {market.seen}" if learned else
                  f"{config.macro.generator} fitted {market.first} to {market.seen}")
                 + (", nothing later is seen" if market.seen <= cutoff else
                    f", AFTER the cut-off {cutoff}: it has seen months that it draws")]
    stale = (cutoff - market.last).n
    if stale:
        notes.append(f"history ends {stale} months before the month of the cut-off")
    if config.macro.leave_out and config.macro.generator == "var":
        notes.append("left out of the fit: " + " to ".join(config.macro.leave_out))
    return {
        "macro": {
            "kind": market.trained["kind"] if learned else "real" if embedded and not given
            else "user",
            "source": ("given paths; history: " if given else "")
            + ("FRED-format US history, " if embedded else "") + macro.source,
            "notes": [*notes, *vintage, *macro.notes],
        },
        "transitions": (_fitted_counts(config, counts) if trained is None
                        else _trained(config, trained, cutoff)),
        **({} if lives is None else {"lives": _lives(config, lives, cutoff)}),
        **({} if fitted_to is None else {"calibration": _calibrated(config, fitted_to)}),
        "tape": {
            "kind": made[0] if made else "user",
            "source": tape.source,
            "notes": [f"{len(tape.frame)} loans", *(f"derived {d}" for d in tape.derived),
                      *([f"unknown columns kept: {', '.join(tape.extra)}"] if tape.extra else [])],
        },
        "deal": {
            "kind": "user" if not shipped else LABEL if constructed else "real",
            "source": f"{deal.terms.source}, {pathlib.Path(deal.source).name}" if shipped
            else deal.source,
            "notes": [*(f"assumed: {text}" for text in deal.terms.assumptions),
                      *_of_purchases(deal.terms)]},
    }


def _prepayment(config):
    return f"prepayment is an assumption: {config.prepayment.cpr:.0%} a year"


def _trained(config, trained, cutoff):
    late = trained["seen"] > cutoff
    return {"kind": trained["kind"], "source": f"transformer of {config.transitions.run}, trained "
            f"on {trained['source']} until {trained['seen']}",
            "notes": [*([f"trained AFTER the cut-off {cutoff}"] if late else []),
                      _prepayment(config)]}


def _lives(config, about, cutoff):
    late = about["seen"] > cutoff
    return {"kind": about["kind"],
            "source": f"trajectories of {config.trajectory.run}, trained until {about['seen']} on "
                      f"{about['source']}",
            "notes": [*([f"trained AFTER the cut-off {cutoff}"] if late else []),
                      "states are drawn by level 3, payments follow the contract"]}


def _calibrated(config, data):
    targets = data.get("targets", {"kind": "user", "source": "targets it does not name"})
    return {"kind": targets["kind"],
            "source": f"knobs of {config.calibration.run}, fitted to {targets['source']}",
            "notes": [*targets.get("notes", ()),
                      "calibration.csv there sets every target beside the model"]}


def _fitted_counts(config, counts):
    return {
        "kind": "real" if config.transitions.events == "embedded" else "user",
        "source": f"corporate rating histories {counts.months[0]} to {counts.months[-1]} "
                  f"({counts.source}), Dirichlet prior S&P 1981-2016 worth "
                  f"{config.transitions.prior_months:g} obligor-months a rating",
        "notes": [f"{int(counts.counts[..., :7, 7].sum())} defaults in the histories; "
                  "withdrawn ratings are censored",
                  "stress beyond the fitted years is an extrapolation that saturates at "
                  f"{config.transitions.saturation:g} of their standard deviations",
                  _prepayment(config)]}


def _of_purchases(terms):
    r = terms.reinvestment
    if r is None:
        return []
    return [f"assumed: principal buys {r.rating} loans at {r.price:.1%} of par and "
            f"{r.spread_bps:g} bps over {terms.index} for {r.term_months} months, "
            f"recovering {r.recovery:.0%}, until {r.end}"]
