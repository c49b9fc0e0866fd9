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
    debug: Annotated[bool, typer.Option(help="Full traceback for bad input.")] = False,
):
    """Simulate a deal under scenarios and write a run folder.

    Examples: clo-gen run; clo-gen run --tape my.csv --deal my_deal.toml --paths 200;
    clo-gen run my.toml --set prepayment.cpr=0.15
    """
    overrides = list(set_ or [])
    overrides += _overrides(tape, deal)
    overrides += [f"paths={paths}"] if paths is not None else []
    overrides += [f"seed={seed}"] if seed is not None else []
    _guard(debug, commands.run, config, out, overrides)


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
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any value, e.g. --set macro.fit.epochs=20.")] = None,
    debug: _DEBUG = False,
):
    """Train the generative levels, each on its own data (stage 1).

    Examples: clo-gen train; clo-gen train --level macro --set macro.fit.epochs=20;
    clo-gen train --resume runs/stage1; clo-gen train new.toml --warm-start runs/stage1
    """
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
