"""`clo-gen sensitivity` and `clo-gen attribute`: tables, pictures and a folder for each."""

import dataclasses
import time

import numpy as np
import pandas as pd

from clo_gen.analysis import attribution, bumps, factors, mixing, sensitivity
from clo_gen.analysis.contributions import loan_table
from clo_gen.analysis.settings import Settings, case_of, headlines, judge
from clo_gen.assembly import Assembly, assemble
from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import InputError
from clo_gen.plots import sensitivity as plot_sensitivity


@dataclasses.dataclass(frozen=True)
class SensitivityReport:
    """What a sensitivity analysis found; the outcomes O are bumps.outcome_names."""

    outcomes: tuple[str, ...]
    headlines: tuple[str, ...]
    base: np.ndarray  # [O]
    factors: tuple  # F of sensitivity.Factor
    effects: np.ndarray  # [F, O] of the stated bumps, to first order
    errors: np.ndarray  # [F, O] Monte Carlo standard errors
    checks: dict  # {headline: rows of its largest bars, first order beside revalued}
    contributions: pd.DataFrame  # a row a loan
    about: dict  # scenario, paths, temperature, provenance, seconds


def sensitivities(a: Assembly, scenario, settings: Settings, *, on_stage=lambda text: None):
    """SensitivityReport of an assembly under one scenario."""
    judge(settings, (scenario,), (a,))
    sizes = factors.judge_sizes(settings.sizes)
    start = time.perf_counter()
    base, case = bumps.no_bumps(a.inputs, a.setup), case_of(a, a.scenarios[scenario], settings)
    bars = factors.factors_of(base, _names(a), a.inputs.tape.balance, sizes, settings.obligors)
    model = sensitivity.model_of_bumps(bumps.bumped(a.setup), settings.paths, settings.whole_block)
    on_stage("compiling; then slopes")
    found = sensitivity.value_and_slope(
        model, base, case, on_block=lambda done: on_stage(f"slopes, {done} of {model.paths} paths"))
    outcomes, shown = bumps.outcome_names(a.deal.classes), headlines(a.deal.classes)
    effects = sensitivity.effects(bars, found)
    largest = {name: sensitivity.largest(effects[:, outcomes.index(name)], bars, settings.bars)
               for name in shown}
    wanted = sorted({n for rows in largest.values() for n in rows})
    revalued = sensitivity.revalue(model, base, case, [bars[n] for n in wanted],
                                   on_done=lambda n: on_stage(f"revaluing {n} of {len(wanted)}"))
    checks = {name: [_check(bars[n], effects[n], revalued[bars[n].name], outcomes.index(name))
                     for n in largest[name]] for name in shown}
    on_stage("contributions of the loans")
    by_loan = loan_table(a, scenario)
    about = {"scenario": scenario, "paths": model.paths, "temperature": float(case.temperature),
             "mode": "expected", "contributions": by_loan.attrs, "seed": a.config.seed,
             "seconds": time.perf_counter() - start, "data": a.provenance}
    return SensitivityReport(outcomes, shown, found.mean, bars, effects,
                             sensitivity.effect_errors(bars, found), checks, by_loan, about)


def _names(a):
    return factors.Names(ratings=a.setup.space.live, series=a.setup.series,
                         classes=a.deal.classes, tests=a.deal.tests, fees=a.deal.fees,
                         obligors=tuple(a.tape.frame["obligor_id"].astype(str)))


def _check(factor, effects, revalued, o):
    def off(x):
        return abs(effects[o] - x) / max(abs(x), 1e-12)

    central, small = revalued.central[o], revalued.small[o]
    return {"factor": factor.name, "bump": factor.bump, "first_order": effects[o],
            "revalued_central": central, "revalued_up": revalued.up[o],
            "revalued_down": revalued.down[o], "revalued_small": small,
            "revalued_up_hard": revalued.hard[o], "difference": off(central),
            "difference_small": off(small)}


def _chosen(config, suffix, out):
    return choose_folder(f"{config.name}-{suffix}", out)


def sensitivity_job(config, folder, scenario=None, settings=None, out=None, *,
                    on_stage=lambda text: None):
    """(SensitivityReport, folder written) of a run config; `scenario` None: its first one."""
    settings = settings or Settings()
    factors.judge_sizes(settings.sizes)
    out = _chosen(config, "sensitivity", out)
    on_stage("reading and fitting")
    a = assemble(config, folder)
    report = sensitivities(a, scenario or config.scenarios[0], settings, on_stage=on_stage)
    on_stage("writing")
    with new_folder(out) as draft:
        write_csv(long_table(report), draft / "sensitivities.csv")
        write_csv(pd.DataFrame([{"outcome": name} | row for name, rows in report.checks.items()
                                for row in rows]), draft / "check.csv")
        write_csv(report.contributions, draft / "contributions.csv")
        base = dict(zip(report.outcomes, map(_number, report.base), strict=True))
        write_json(draft / "summary.json", report.about | {"base": base})
        plot_sensitivity.write_tornados(
            draft / "tornado.png", f"{a.deal.terms.name}, {report.about['scenario']}: "
            "effects of stated bumps", [_panel(name, rows) for name, rows in report.checks.items()])
    return report, out


def _number(x):
    return float(x) if np.isfinite(x) else None


def _panel(name, rows):
    return (name, [f"{r['factor']} {r['bump']}" for r in rows], [r["first_order"] for r in rows],
            [(r["revalued_up"], r["revalued_down"]) for r in rows])


def long_table(report):
    """One row a factor and outcome: effect of the stated bump and its standard error."""
    shape, bars = report.effects.shape, report.factors

    def column(of):
        return np.repeat([of(f) for f in bars], shape[1])

    return pd.DataFrame({
        "input": column(lambda f: f.field), "factor": column(lambda f: f.name),
        "bump": column(lambda f: f.bump), "size": column(lambda f: f.size),
        "outcome": np.tile(report.outcomes, shape[0]), "effect": report.effects.ravel(),
        "std_error": report.errors.ravel()})


@dataclasses.dataclass(frozen=True)
class AttributionReport:
    """What a difference is made of."""

    outcomes: tuple[str, ...]
    headlines: tuple[str, ...]
    found: attribution.Attribution
    hard_total: np.ndarray | None  # [O] of the difference with hard tests, where worked out
    about: dict


def attribution_job(configs, folders, scenarios, settings=None, out=None, *,
                    on_stage=lambda text: None):
    """(AttributionReport, folder written) of the difference between two scenarios of one config,
    or between two configs (a list of two), each under its own scenario (None: its first)."""
    settings = settings or Settings()
    named = [s or c.scenarios[0] for s, c in zip(
        scenarios, configs if len(configs) == 2 else configs * 2, strict=True)]
    if len(configs) == 1 and named[0] == named[1]:
        raise InputError(f"scenario: {named[0]} twice; want two scenarios, or a second config")
    out = _chosen(configs[0], "attribution", out)
    on_stage("reading and fitting")
    sides = [assemble(c, f) for c, f in zip(configs, folders, strict=True)]
    report = attribute(sides[0], sides[-1], named, settings, on_stage=on_stage)
    on_stage("writing")
    with new_folder(out) as draft:
        _write_attribution(report, draft)
    return report, out


def attribute(start: Assembly, end: Assembly, scenarios, settings: Settings, *,
              on_stage=lambda text: None):
    """AttributionReport from `start` to `end` (the same assembly: between two scenarios)."""
    judge(settings, scenarios, (start, end))
    began, block = time.perf_counter(), settings.whole_block
    hard, on_stage_of = None, lambda what: lambda done, of: on_stage(f"{what} {done} of {of}")
    on_stage("compiling")
    if start is end:
        case = case_of(start, tuple(start.scenarios[name] for name in scenarios), settings)
        found, hard = attribution.between_scenarios(case, start.setup, settings.paths, block,
                                                    on_node=on_stage_of("slopes at point"))
    else:
        case = case_of(start, None, settings)
        found = mixing.between_assemblies(start, end, scenarios, case, settings.paths, block,
                                          on_value=on_stage_of("mixture"))
    classes = start.deal.classes
    about = {
        "method": found.method, "scenarios": list(scenarios),
        "paths": -(-settings.paths // block) * block, "temperature": float(case.temperature),
        "residual": found.worst, "gap": found.gap, "evaluations": found.evaluations,
        "between": [_label(a, name) for a, name in zip((start, end), scenarios, strict=True)],
        "seconds": time.perf_counter() - began, "data": [start.provenance, end.provenance]}
    return AttributionReport(bumps.outcome_names(classes), headlines(classes), found, hard, about)


def _label(a: Assembly, scenario):
    return f"{a.config.name}, {scenario}, {a.deal.terms.name} {a.deal.terms.closing}"


def attribution_rows(report):
    """One dict an outcome and factor: its share of the total difference."""
    found = report.found
    return [{"outcome": outcome, "start": found.start[o], "end": found.end[o],
             "total": found.total[o], "residual": found.residual[o], "factor": name,
             "share": share[o]}
            for o, outcome in enumerate(report.outcomes) for name, share in found.shares.items()]


def _write_attribution(report, draft):
    found = report.found
    write_csv(pd.DataFrame(attribution_rows(report)), draft / "attribution.csv")
    if found.detail is not None:
        o, q, m = np.indices(found.detail.shape).reshape(3, -1)
        table = pd.DataFrame({"outcome": np.array(report.outcomes)[o], "quarter": q + 1,
                              "factor": np.array(list(found.shares))[m],
                              "share": found.detail.ravel()})
        write_csv(table, draft / "by_quarter.csv")
    write_json(draft / "summary.json", report.about)
    panels = [(name, found.start[o], found.end[o], list(found.shares),
               [share[o] for share in found.shares.values()])
              for name in report.headlines for o in [report.outcomes.index(name)]]
    plot_sensitivity.write_attributions(draft / "attribution.png", " to ".join(
        report.about["between"]), panels)
