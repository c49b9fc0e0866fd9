"""The command line: `clo-gen` or `python -m clo_gen`. What the commands do is in commands.py."""

import pathlib
import sys
from typing import Annotated

import typer

from clo_gen import commands

app = typer.Typer(add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False,
                  rich_markup_mode=None, help="CLO and private-credit portfolios in JAX.")


@app.callback()
def _root():
    """CLO and private-credit portfolios in JAX."""


@app.command()
def run(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML); without it the shipped quickstart.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Run folder, instead of runs/<name>; never overwritten.")] = None,
    tape: Annotated[pathlib.Path | None, typer.Option(
        help="Your loan tape (CSV or Parquet), instead of the config's.")] = None,
    deal: Annotated[pathlib.Path | None, typer.Option(
        help="Your deal (TOML), instead of the config's.")] = None,
    paths: Annotated[int | None, typer.Option(help="Paths a scenario.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any config value, e.g. --set macro.lags=3.")] = None,
    resume: Annotated[pathlib.Path | None, typer.Option(
        help="Go on with an interrupted run: its folder, with or without .partial.")] = None,
    memory: Annotated[str, typer.Option(
        help="Budget for the paths computed at once, such as 2GB.")] = "2GB",
    check: Annotated[bool, typer.Option(
        "--check", help="Run every path once more under checkify: which operation makes a NaN. "
        "Slow.")] = False,
    coordinator: Annotated[str | None, typer.Option(
        help="Share a run between hosts: host:port of process 0, or auto (docs/runs.md).")] = None,
    process_id: Annotated[int | None, typer.Option(min=0, help="Which process this is.")] = None,
    num_processes: Annotated[int | None, typer.Option(min=1, help="How many there are.")] = None,
    debug: Annotated[bool, typer.Option(help="Full traceback for bad input.")] = False,
):
    """Simulate a deal under scenarios and write a run folder.

    Examples: clo-gen run; clo-gen run --tape my.csv --deal my_deal.toml --paths 200;
    clo-gen run my.toml --set prepayment.cpr=0.15; clo-gen run --resume runs/quickstart
    """
    overrides = list(set_ or [])
    overrides += _overrides(tape, deal)
    overrides += [f"paths={paths}"] if paths is not None else []
    overrides += [f"seed={seed}"] if seed is not None else []
    hosts = (coordinator, process_id, num_processes)
    alone, auto = hosts == (None, None, None), hosts == ("auto", None, None)
    if not alone and not auto and (None in hosts or process_id >= num_processes):
        print("--coordinator, --process-id and --num-processes come together, with process ids "
              "from 0 to num-processes - 1; or --coordinator auto alone", file=sys.stderr)
        raise typer.Exit(2)
    _guard(debug, commands.run, config, out, overrides, resume, memory, check,
           hosts if coordinator else None)


@app.command()
def init(
    folder: Annotated[pathlib.Path, typer.Argument(help="New folder, such as my-deal.")],
    debug: Annotated[bool, typer.Option(help="Full traceback for bad input.")] = False,
):
    """Write a folder with a deal, a tape, scenarios and a config that runs as it is.

    Example: clo-gen init my-deal
    """
    _guard(debug, commands.init, folder)


@app.command()
def compare(
    runs: Annotated[list[pathlib.Path], typer.Argument(help="Folders written by clo-gen run.")],
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder, instead of runs/compare; never overwritten.")] = None,
    debug: Annotated[bool, typer.Option(help="Full traceback for bad input.")] = False,
):
    """Several runs in one table and one picture.

    Example: clo-gen compare runs/quickstart runs/quickstart-2
    """
    _guard(debug, commands.compare, runs, out)


deal_app = typer.Typer(no_args_is_help=True, help="Look at deal files.")
app.add_typer(deal_app, name="deal")
_DEBUG = Annotated[bool, typer.Option(help="Full traceback for bad input.")]


@app.command()
def waterfall(
    file: Annotated[pathlib.Path, typer.Argument(
        help="A deal with its collections (JSON, clo_waterfall_oracle_v1), or a deal (TOML).")],
    collections: Annotated[pathlib.Path | None, typer.Option(
        help="Cash of every payment period (CSV), for a TOML deal.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Where every payment goes: .json or .csv.")] = None,
    rate: Annotated[float, typer.Option(
        min=-0.5, max=10.0, help="Flat yearly rate at which classes are priced.")] = 0.07,
    show: Annotated[bool, typer.Option(
        "--show", help="Only print the steps, written out.")] = False,
    debug: _DEBUG = False,
):
    """Distribute given collections: every payment of every class, fee and account.

    Examples: clo-gen waterfall deal.json --out payments.json;
    clo-gen waterfall deal.toml --collections c.csv --out t.csv; clo-gen waterfall --show deal.toml
    """
    if show:
        _guard(debug, commands.show, file)
    else:
        _guard(debug, commands.waterfall, file, collections, out, rate)


@deal_app.command("check")
def deal_check(
    file: Annotated[pathlib.Path, typer.Argument(help="The deal (TOML).")], debug: _DEBUG = False,
):
    """Explain a deal in words, with every problem found.

    Example: clo-gen deal check my_deal.toml
    """
    _guard(debug, commands.check, file)


@app.command("break-even")
def break_even(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML) that names pool and deal; without it the quickstart.")] = None,
    cpr: Annotated[list[float], typer.Option(
        help="Yearly prepayment rate; repeat for several.")] = (0.10, 0.20, 0.30),
    severity: Annotated[list[float], typer.Option(
        help="Share of par lost in default; repeat for several.")] = (0.40, 0.55, 0.70),
    tape: Annotated[pathlib.Path | None, typer.Option(help="Your loan tape.")] = None,
    deal: Annotated[pathlib.Path | None, typer.Option(help="Your deal (TOML).")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(help="CSV of the table.")] = None,
    debug: _DEBUG = False,
):
    """First-loss CDR: the highest constant default rate at which each class is paid in full.

    Example: clo-gen break-even --cpr 0.2 --severity 0.5 --severity 0.6
    """
    _guard(debug, commands.break_even, config, _overrides(tape, deal), cpr, severity, out)


@app.command()
def hypo(
    file: Annotated[pathlib.Path, typer.Argument(
        help="Deals (CSV, one a row), or one deal (TOML).")],
    out: Annotated[pathlib.Path | None, typer.Option(
        help="results.csv; for one deal also a new folder for its obligors and pictures.")] = None,
    debug: _DEBUG = False,
):
    """Hypo pools: the worst pool that each deal's limits still allow.

    Examples: clo-gen hypo deals.csv --out results.csv; clo-gen hypo deal.toml --out pool
    """
    _guard(debug, commands.hypo, file, out)


@app.command()
def quality(
    tape: Annotated[pathlib.Path, typer.Argument(help="Your loan tape (CSV or Parquet).")],
    limits: Annotated[pathlib.Path, typer.Option(help="The deal's limits (TOML).")],
    cutoff: Annotated[str, typer.Option(help="Date of the test, such as 2025-10-15.")],
    before: Annotated[pathlib.Path | None, typer.Option(
        help="Tape of an earlier portfolio, for maintain or improve.")] = None,
    columns: Annotated[pathlib.Path | None, typer.Option(
        help="Column map (TOML) of a tape with other headers.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(help="CSV of every test.")] = None,
    debug: _DEBUG = False,
):
    """Collateral quality and concentration tests of a tape.

    Example: clo-gen quality tape.csv --limits limits.toml --cutoff 2025-10-15
    """
    _guard(debug, commands.quality, tape, limits, cutoff, before, columns, out)


@app.command()
def train(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Training config (TOML); without it the shipped one on embedded data.")] = None,
    level: Annotated[list[str] | None, typer.Option(
        help="macro, transition, trajectory or recovery; repeat for several; without it those "
             "that the config names.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder of the run, instead of runs/<name>; never overwritten.")] = None,
    resume: Annotated[pathlib.Path | None, typer.Option(
        help="Go on with an interrupted training run.")] = None,
    warm_start: Annotated[pathlib.Path | None, typer.Option(
        help="Start from the models of an earlier run and report drift of the new months.")] = None,
    stage: Annotated[int, typer.Option(
        min=1, max=2, help="1: each level alone; 2: levels 1 and 2 of a stage-1 run jointly, with "
        "the portfolio's own loss.")] = 1,
    from_: Annotated[pathlib.Path | None, typer.Option(
        "--from", help="Stage 2: the stage-1 run, instead of the config's.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any value, e.g. --set macro.fit.epochs=20.")] = None,
    debug: _DEBUG = False,
):
    """Train the generative levels, each on its own data (stage 1), then jointly (stage 2).

    Examples: clo-gen train; clo-gen train --level macro --set macro.fit.epochs=20;
    clo-gen train --resume runs/stage1; clo-gen train new.toml --warm-start runs/stage1;
    clo-gen train --stage 2 --from runs/stage1
    """
    if stage == 2 or from_ is not None:
        _guard(debug, commands.train_jointly, config, (stage, level, warm_start), out, resume,
               from_, list(set_ or []))
        return
    _guard(debug, commands.train, config, level, out, resume, warm_start, list(set_ or []))


@app.command()
def evaluate(
    run: Annotated[pathlib.Path, typer.Argument(help="A folder written by clo-gen train.")],
    debug: _DEBUG = False,
):
    """Measure trained levels on held-out data, each beside a simple baseline.

    Example: clo-gen evaluate runs/stage1
    """
    _guard(debug, commands.evaluate, run)


@app.command()
def sensitivity(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML); without it the shipped quickstart.")] = None,
    scenario: Annotated[str | None, typer.Option(
        help="One of the config's scenarios; without it the first.")] = None,
    paths: Annotated[int, typer.Option(help="Systematic paths.")] = 64,
    temperature: Annotated[float | None, typer.Option(
        help="Of the tests; without it the config's, or 0.01 where that is 0.")] = None,
    obligors: Annotated[int, typer.Option(help="How many of the largest obligors.")] = 10,
    bars: Annotated[int, typer.Option(help="How many of the largest bars are revalued.")] = 10,
    size: Annotated[list[str] | None, typer.Option(
        metavar="NAME=VALUE", help="A stated bump, e.g. --size macro=0.005.")] = None,
    tape: Annotated[pathlib.Path | None, typer.Option(help="Your loan tape.")] = None,
    deal: Annotated[pathlib.Path | None, typer.Option(help="Your deal (TOML).")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder, instead of runs/<name>-sensitivity; never overwritten.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any config value.")] = None,
    debug: _DEBUG = False,
):
    """Sensitivities of pool and classes to every input, and what each loan adds to the losses.

    Examples: clo-gen sensitivity; clo-gen sensitivity my.toml --scenario adverse --size fee=0.002
    """
    options = {"paths": paths, "temperature": temperature, "obligors": obligors, "bars": bars,
               "sizes": tuple(size or ())}
    _guard(debug, commands.sensitivity, config, _overrides(tape, deal) + list(set_ or []), scenario,
           options, out)


@app.command()
def attribute(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML) of the start; without it the shipped quickstart.")] = None,
    other: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config of the end: another date, tape, deal or model.")] = None,
    start: Annotated[str | None, typer.Option(
        "--from", help="Scenario of the start; without it the config's first.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Scenario of the end.")] = None,
    paths: Annotated[int, typer.Option(help="Systematic paths.")] = 64,
    temperature: Annotated[float | None, typer.Option(
        help="Of the tests; without it the config's, or 0.01 where that is 0.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder, instead of runs/<name>-attribution; never overwritten.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any config value, of both configs.")] = None,
    debug: _DEBUG = False,
):
    """What the difference between two scenarios, or two configs, is made of; it sums to the total.

    Examples: clo-gen attribute --from baseline --to severely_adverse;
    clo-gen attribute march.toml june.toml
    """
    options = {"paths": paths, "temperature": temperature}
    _guard(debug, commands.attribute, config, other, list(set_ or []), (start, end), options, out)


@app.command()
def correlation(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML); without it the shipped quickstart.")] = None,
    target: Annotated[str | None, typer.Option(
        help="Calibrate the loadings to these percentages of macro, cohort, factor and "
             "idiosyncratic, such as 60,25,10,5.")] = None,
    paths: Annotated[int, typer.Option(help="Paths; each is run under four designs.")] = 512,
    scenario: Annotated[str | None, typer.Option(
        help="One of the config's scenarios; without it the first.")] = None,
    class_: Annotated[str | None, typer.Option(
        "--class", help="Decompose this class's loss too, through the whole deal.")] = None,
    rho: Annotated[float | None, typer.Option(
        help="Asset correlation of the copula; without it what all pairs imply.")] = None,
    tape: Annotated[pathlib.Path | None, typer.Option(help="Your loan tape.")] = None,
    deal: Annotated[pathlib.Path | None, typer.Option(help="Your deal (TOML).")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder, instead of runs/<name>-correlation; never overwritten.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any config value.")] = None,
    debug: _DEBUG = False,
):
    """Loss variance by random source, default correlation, and loadings for wanted shares.

    Examples: clo-gen correlation; clo-gen correlation --target 60,25,10,5
    """
    options = {"target": target, "paths": paths, "scenario": scenario, "class_name": class_,
               "rho": rho}
    _guard(debug, commands.correlation, config, _overrides(tape, deal) + list(set_ or []),
           options, out)


@app.command("reverse-stress")
def reverse_stress(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML); without it the shipped quickstart.")] = None,
    class_: Annotated[str | None, typer.Option(
        "--class", help="Name of the class; without it the most junior note.")] = None,
    event: Annotated[str, typer.Option(
        help="loss: 0.1 % of the class is unpaid at maturity; oc: its OC test fails.")] = "loss",
    answers: Annotated[int, typer.Option(help="How many paths that differ.")] = 3,
    cosine: Annotated[float, typer.Option(
        help="Likeness that two answers may have: of their shocks, 1 is the same.")] = 0.7,
    scenario: Annotated[str | None, typer.Option(
        help="One of the config's scenarios; without it the first.")] = None,
    draws: Annotated[int, typer.Option(help="Sampled lives of the pool a path.")] = 512,
    tape: Annotated[pathlib.Path | None, typer.Option(help="Your loan tape.")] = None,
    deal: Annotated[pathlib.Path | None, typer.Option(help="Your deal (TOML).")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder, instead of runs/<name>-reverse-stress; never overwritten.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any config value.")] = None,
    debug: _DEBUG = False,
):
    """The likeliest macro paths under which a class first loses, or its OC test fails.

    Examples: clo-gen reverse-stress --class E; clo-gen reverse-stress --class D-2 --event oc
    """
    options = {"class_name": class_, "event": event, "answers": answers, "draws": draws,
               "scenario": scenario, "cosine": cosine}
    _guard(debug, commands.reverse_stress, config, _overrides(tape, deal) + list(set_ or []),
           options, out)


@app.command()
def tail(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML); without it the shipped quickstart.")] = None,
    class_: Annotated[str | None, typer.Option(
        "--class", help="Name of the class; without it the most senior that loses on a plain "
                        "path.")] = None,
    scenario: Annotated[str | None, typer.Option(
        help="One of the config's scenarios; without it the first.")] = None,
    paths: Annotated[int, typer.Option(
        help="Plain paths, and as many tilted ones with their pilot.")] = 8192,
    pilot: Annotated[int, typer.Option(help="Paths that fit the tilt.")] = 512,
    level: Annotated[float, typer.Option(help="Of the pool's VaR and CVaR.")] = 0.999,
    defence: Annotated[float, typer.Option(
        help="Share of tilted paths that are not shifted; it bounds the weights.")] = 0.1,
    tape: Annotated[pathlib.Path | None, typer.Option(help="Your loan tape.")] = None,
    deal: Annotated[pathlib.Path | None, typer.Option(help="Your deal (TOML).")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder, instead of runs/<name>-tail; never overwritten.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any config value.")] = None,
    debug: _DEBUG = False,
):
    """Rare losses by importance sampling, beside plain paths at equal cost.

    Examples: clo-gen tail; clo-gen tail --class C --scenario adverse --paths 8192
    """
    options = {"class_name": class_, "scenario": scenario, "paths": paths, "pilot": pilot,
               "level": level, "defence": defence}
    _guard(debug, commands.tail, config, _overrides(tape, deal) + list(set_ or []), options, out)


@app.command()
def backtest(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Backtest config (TOML); without it the shipped one on embedded data.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder of the tables, instead of runs/<name>; never overwritten.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any value, e.g. --set ratings.paths=500.")] = None,
    debug: _DEBUG = False,
):
    """Forecasts of default counts against real history: VaR exceptions, transforms, AUC, fits.

    Examples: clo-gen backtest; clo-gen backtest configs/backtest_auto.toml --out auto;
    clo-gen backtest --set classes.run=runs/quickstart
    """
    _guard(debug, commands.backtest, config, out, list(set_ or []))


@app.command()
def calibrate(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Calibration config (TOML); without it the shipped one on embedded data.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder, instead of runs/<name>; never overwritten.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any value, e.g. --set corporate.macro_block=24.")
    ] = None,
    debug: _DEBUG = False,
):
    """Fit named parameters to historical figures (stage 3): before, after, target, interval.

    Examples: clo-gen calibrate; clo-gen calibrate configs/calibrate_auto.toml;
    then clo-gen run --set calibration.run=runs/calibration
    """
    _guard(debug, commands.calibrate, config, out, list(set_ or []))


@app.command()
def structure(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML); without it the shipped quickstart.")] = None,
    paths: Annotated[int, typer.Option(help="Sampled lives that the sizes are fitted to.")] = 512,
    checks: Annotated[int, typer.Option(help="Fresh ones that judge the result.")] = 2048,
    scenario: Annotated[str | None, typer.Option(
        help="One of the config's scenarios; without it the first.")] = None,
    spread_slope: Annotated[float, typer.Option(
        help="Relative rise of a spread per unit of enhancement lost.")] = 3.0,
    tape: Annotated[pathlib.Path | None, typer.Option(help="Your loan tape.")] = None,
    deal: Annotated[pathlib.Path | None, typer.Option(help="Your deal (TOML).")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Folder, instead of runs/<name>-structure; never overwritten.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any config value.")] = None,
    debug: _DEBUG = False,
):
    """Class sizes and spreads for the highest equity IRR within each rating's idealised loss rate.

    Examples: clo-gen structure; clo-gen structure my.toml --scenario adverse --paths 1024
    """
    options = {"paths": paths, "checks": checks, "scenario": scenario,
               "spread_slope": spread_slope}
    _guard(debug, commands.structure, config, _overrides(tape, deal) + list(set_ or []), options,
           out)


@app.command()
def bench(
    cases: Annotated[str | None, typer.Option(
        help="Names, such as run-1k,waterfall; without it all (some 20 minutes on 2 cores).")
    ] = None,
    scale: Annotated[float, typer.Option(
        help="Multiplies paths, deals and epochs.")] = 1.0,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="New folder for bench.jsonl and the pictures.")] = None,
    growth: Annotated[bool, typer.Option(
        "--growth", help="What 10 times the paths or the loans cost; with --cases, after them.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only print the cases.")] = False,
    debug: _DEBUG = False,
):
    """Measure speed and memory on this machine, every case in a process of its own.

    Examples: clo-gen bench --out bench; clo-gen bench --cases run-1k,hypo-formula-10k;
    clo-gen bench --growth
    """
    if list_:
        _guard(debug, commands.list_cases)
    else:
        _guard(debug, commands.bench, cases, scale, out, growth)


def _overrides(tape, deal):
    out = [f"tape={{file={str(tape.resolve())!r}}}"] if tape is not None else []
    return out + ([f"deal={str(deal.resolve())!r}"] if deal is not None else [])


def _guard(debug, action, *args):
    """Exit code 2 and one message for bad input; 3 for an interrupted run."""
    from clo_gen.io.problems import InputError

    try:
        action(*args)
    except InputError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    except KeyboardInterrupt as stop:
        # An action that can be resumed says how.
        print(f"\ninterrupted: {str(stop) or 'nothing was written'}", file=sys.stderr)
        raise typer.Exit(3) from None


def main():
    """Entry point of `clo-gen`."""
    app(prog_name="clo-gen")
