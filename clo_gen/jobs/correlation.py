"""`clo-gen correlation`: loss variance by source, default correlation, calibrated loadings."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import tomli_w

from clo_gen.analysis import correlation, loadings
from clo_gen.analysis.default_correlation import cells_of
from clo_gen.analysis.variance import NAMES, Shares
from clo_gen.assembly import Assembly, assemble, covariates_at
from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.json_data import write_json
from clo_gen.io.manifest import resolved
from clo_gen.io.problems import InputError, Problems
from clo_gen.plots import correlation as plot_correlation

BLOCK = 8  # paths a call; few, so that a block stays in the cache
SEARCH = 2**32 - 2  # fold of the key of the calibration's own paths
YEARS = (1, 3, 5)

MEAN_HELD = 0.02  # relative change of the mean loss that a calibration may leave
POOR_SHARE, POOR_CLOSURE = 0.10, 2.5  # errors of a share, and standard errors, that are too large


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for."""

    paths: int = 512
    scenario: str | None = None  # None: the config's first
    target: tuple[float, ...] | None = None  # percent by source: calibrate to it
    class_name: str | None = None  # decompose this class's loss too
    rho: float | None = None  # asset correlation of the copula; None: as all pairs imply


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found; `after` and `loadings` are None without a target."""

    title: str
    before: Shares
    after: Shares | None
    of_class: Shares | None
    pairs: pd.DataFrame  # a row a pair of groups and horizon; after calibration where there was one
    industries: np.ndarray  # [I, I] default correlation at the longest horizon
    rho: float
    calibration: loadings.Calibration | None
    notes: tuple[str, ...]
    summary: dict


def percentages(text):
    """Four numbers of a text such as "60,25,10,5"; None for None. Raises InputError."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--target {text}: want four percentages such as 60,25,10,5") from None


def judge(a: Assembly, request: Request):
    """Raises InputError with every problem of the request."""
    problems, target = Problems("correlation"), request.target
    if request.scenario is not None and request.scenario not in a.scenarios:
        problems.add("scenario", request.scenario, "one of " + ", ".join(a.scenarios))
    if request.class_name is not None and request.class_name not in a.deal.classes:
        problems.add("class", request.class_name, "one of " + ", ".join(a.deal.classes))
    if not 4 * BLOCK <= request.paths <= 1_000_000:
        problems.add("paths", request.paths, f"{4 * BLOCK} to 1000000")
    if request.rho is not None and not 0.0 < request.rho < 0.98:
        problems.add("rho", request.rho, "more than 0 and less than 0.98")
    if a.deal.months < 12:
        problems.add("deal", f"{a.deal.months} months", "a year or more: the first horizon")
    if a.config.mode == "trajectory":
        problems.add("mode", a.config.mode, "markov or expected: level 3 has no probabilities that "
                     "could be pushed")
    if target is not None:
        if len(target) != 4 or min(target) <= 0 or abs(sum(target) - 100.0) > 1e-6:
            problems.add("target", ",".join(f"{x:g}" for x in target),
                         "four positive percentages that add to 100: " + ", ".join(NAMES))
        if a.config.calibration is not None:
            problems.add("calibration.run", a.config.calibration.run, "no [calibration] beside a "
                         "target: what clo-gen calibrate found moves the loadings too")
        t, f = a.config.transitions, a.config.factors
        if t.model != "logit" or t.macro_effect == 0:
            problems.add("transitions", f"{t.model}, macro_effect {t.macro_effect:g}",
                         "model = \"logit\" with a macro_effect to scale")
        if f.cohort == 0 or f.industry == f.region == 0:
            problems.say("factors: a loading is 0; want positive ones to set out from")
    problems.raise_if_any()


def given_of(a: Assembly, scenario, key):
    """What loadings.compile_moments takes, and the levers [4] at which the config stands."""
    t, factors = a.config.transitions, a.config.factors
    years = pd.period_range(*t.reference, freq="M")
    reference = jnp.asarray(covariates_at(t.covariates, a.macro, a.setup.series, years), float)
    base = a.params.transition.replace(slope=a.params.transition.slope / t.macro_effect)
    levers = np.array([np.log(t.macro_effect), np.log(factors.cohort), 0.0, t.worse_log_odds])
    return (a.params, base, reference, a.inputs, scenario, key), levers


def correlation_job(config, folder, request: Request, out=None, *, on_stage=lambda text: None):
    """(Report, folder written). Raises InputError with every problem.

    A calibration searches on paths of its own; shares before and after are of other paths.
    """
    out = choose_folder(f"{config.name}-correlation", out)
    on_stage("reading and fitting")
    a = assemble(config, folder)
    judge(a, request)
    report = study(a, request, on_stage=on_stage)
    on_stage("writing")
    save(report, a, folder, out)
    return report, out


def study(a: Assembly, request: Request, *, on_stage=lambda text: None):
    """Report of an assembly."""
    start, key = time.perf_counter(), jax.random.key(a.config.seed)
    scenario = a.scenarios[request.scenario or next(iter(a.scenarios))]
    block = -(-BLOCK // jax.device_count()) * jax.device_count()
    paths = -(-request.paths // block) * block
    cells = cells_of(a.inputs.tape, a.setup.space)
    horizons = tuple(12 * y for y in YEARS if 12 * y <= a.deal.months)
    pool = correlation.compile_pool(a.setup, cells, horizons)

    def studied(params, name):
        on_stage(f"{name}: compiling")
        return correlation.study_pool(pool, (params, a.inputs, scenario, key), paths, block,
                                      on_block=lambda n: on_stage(f"{name}: {n}/{paths} paths"))

    before = found = studied(a.params, "shares")
    calibration, of_class, params = None, None, a.params
    if request.target is not None:
        calibration, params = _calibrated(a, request, scenario, (paths, block), on_stage)
        found = studied(params, "shares after")
    if request.class_name is not None:
        name = f"class {request.class_name}"
        on_stage(f"{name}: compiling the waterfall")
        function = correlation.compile_class(a.setup, a.deal.classes.index(request.class_name))
        of_class = correlation.study_class(function, (params, a.inputs, scenario, key), paths,
                                           block, on_block=lambda n: on_stage(
                                               f"{name}: {n}/{paths} paths"))
    names = ([a.setup.space.states[r] for r in np.unique(cells.rating)], a.tape.industries)
    pairs, industries, rho = correlation.pair_rows(found.pairs, cells, names, horizons,
                                                   request.rho)
    after = found.shares if calibration else None
    seconds = time.perf_counter() - start
    return _report(a, request, (before.shares, after, of_class), (pairs, industries, rho),
                   (calibration, seconds))


def _calibrated(a, request, scenario, size, on_stage):
    """(Calibration, params at its levers); `size` = (paths, block)."""
    paths, block = size
    given, levers = given_of(a, scenario,
                             jax.random.fold_in(jax.random.key(a.config.seed), SEARCH))
    wanted = loadings.Wanted(levers, tuple(x / 100.0 for x in request.target), paths,
                             max(paths // (4 * block), 1) * block)
    found = loadings.calibrate(loadings.compile_moments(a.setup, block), given, wanted,
                               on_step=lambda text: on_stage(f"calibrating, {text}"))
    return found, loadings.pull(a.params, jnp.asarray(found.levers), *given[1:3])


def _report(a, request, shares, found, done):
    before, after, of_class = shares
    pairs, industries, rho = found
    calibration, seconds = done
    scenario = request.scenario or next(iter(a.scenarios))
    title = f"{a.deal.terms.name}, scenario {scenario}: {before.paths:,} paths"
    summary = {
        "title": title, "scenario": scenario, "seed": a.config.seed, "paths": before.paths,
        "sources": NAMES, "rho": rho, "seconds": seconds, "target": request.target,
        **{name: None if s is None else dataclasses.asdict(s)
           for name, s in zip(("before", "after", "class"), shares, strict=True)},
        "loadings": None if calibration is None else dataclasses.asdict(calibration.loadings),
        "converged": None if calibration is None else calibration.converged,
        "at_bounds": None if calibration is None else calibration.at_bounds,
        "data": a.provenance}
    return Report(title, before, after, of_class, pairs, industries, rho, calibration,
                  _notes(a, shares, calibration, seconds), summary)


def _notes(a, shares, calibration, seconds):
    before, after, of_class = shares
    last = before if after is None else after
    notes = []
    if (max(last.share_error) > POOR_SHARE
            or abs(last.closure - 1.0) > POOR_CLOSURE * last.closure_error):
        notes.append("WARNING: too few paths: a share's error is above 10 points or closure is off")
    when = "" if after is None else " after"
    notes += [f"closure{when}: the four components add to {last.closure:.3f} +- "
              f"{last.closure_error:.3f} of the variance of losses with every loan drawn",
              "+-: standard error over paths; default correlations: jackknife over groups of paths"]
    if calibration is not None:
        c = calibration.loadings
        notes.append(f"mean pool loss {before.mean:.3%} +- {before.mean_error:.3%} before, "
                     f"{after.mean:.3%} +- {after.mean_error:.3%} after")
        if abs(after.mean / before.mean - 1.0) > MEAN_HELD:
            notes.append("the mean loss was NOT held")
        told = (f"factors.cohort={c.cohort:.4f}", f"factors.industry={c.industry:.4f}",
                f"factors.region={c.region:.4f}", f"transitions.macro_effect={c.macro_effect:.4f}",
                f"transitions.worse_log_odds={c.worse_log_odds:.4f}")
        if calibration.converged:
            notes.append("run it with: clo-gen run ... --set " + " --set ".join(told))
        else:
            notes.append(f"target NOT reached: the search's own paths miss "
                         f"{_missed(calibration)}; nearest found: {', '.join(told)}")
        if calibration.at_bounds:
            notes.append("loadings at a bound of the search: " + ", ".join(calibration.at_bounds))
    if of_class is not None and not of_class.sd > 0:
        notes.append("the class loses nothing on any path: there is no variance to share")
    notes += [f"{name}: {about['kind']} - {about['source']}"
              for name, about in a.provenance.items()]
    return (*notes, f"{seconds:.0f} s")


def _missed(calibration):
    """What a calibration leaves between it and its target, in words."""
    mean = calibration.mean_ratio - 1.0
    parts = [(calibration.share_miss, f"a share by {100 * calibration.share_miss:.1f} points"),
             (abs(np.log1p(mean)), f"the mean loss by {100 * mean:+.1f} %")]
    return " and ".join(text for miss, text in parts if miss > loadings.CLOSE)


def save(report: Report, a: Assembly, config_folder, out):
    """Writes the folder `out` in one go: it is complete or not there."""
    with new_folder(out) as draft:
        write_json(draft / "summary.json", report.summary)
        write_csv(report.pairs, draft / "default_correlation.csv")
        if report.calibration is not None:
            text = tomli_w.dumps(calibrated_config(a, report.calibration.loadings, config_folder))
            missed = "" if report.calibration.converged else "# The target was NOT reached.\n"
            (draft / "calibrated.toml").write_text(missed + text)
        plot_correlation.write_figure(draft / "correlation.png", report)


def calibrated_config(a: Assembly, c: loadings.Loadings, config_folder):
    """The run config as TOML data, with the loadings `c`: clo-gen run reads it."""
    data = resolved(a.config, config_folder)
    data["name"] = f"{a.config.name}-calibrated"
    data["factors"] |= {"cohort": c.cohort, "industry": c.industry, "region": c.region}
    data["transitions"] |= {"macro_effect": c.macro_effect, "worse_log_odds": c.worse_log_odds}
    return data
