"""Deals without a simulation, hypo pools, collateral tests."""

import pathlib
from typing import Annotated

import typer

from clo_gen.cli import options as o
from clo_gen.cli.app import DEALS, app, command, overrides, set_up_jax

deal_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Look at deal files.")
app.add_typer(deal_app, name="deal", rich_help_panel=DEALS)


@command(deal_app)
def check(
    screen,
    file: Annotated[pathlib.Path, typer.Argument(help="The deal (TOML).")],
):
    """Explain a deal in words, with every problem found.

    Examples:
    clo-gen deal check my_deal.toml
    """
    set_up_jax()
    from clo_gen.explain import explain_deal
    from clo_gen.io.deal import read_deal

    text = explain_deal(read_deal(file))
    screen.say(text)
    screen.result({"explanation": text.splitlines()})


@command(app, DEALS)
def waterfall(
    screen,
    file: Annotated[pathlib.Path, typer.Argument(
        help="A deal with its collections (JSON, clo_waterfall_oracle_v1), or a deal (TOML).")],
    collections: Annotated[pathlib.Path | None, typer.Option(
        help="Cash of every payment period (CSV), for a TOML deal.")] = None,
    rate: Annotated[float, typer.Option(
        min=-0.5, max=10.0, help="Flat yearly rate at which classes are priced.")] = 0.07,
    show: Annotated[bool, typer.Option(
        "--show", help="Only print the steps, written out.")] = False,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Where every payment goes: .json or .csv.")] = None,
):
    """Distribute given collections: every payment of every class, fee and account.

    Examples:
    clo-gen waterfall deal.json --out payments.json
    clo-gen waterfall deal.toml --collections c.csv --out t.csv
    clo-gen waterfall --show deal.toml
    """
    if show:
        _show(screen, file)
        return
    set_up_jax()
    from clo_gen.io.csv_file import write_csv
    from clo_gen.io.folders import new_file, want_new_file
    from clo_gen.io.json_data import write_json
    from clo_gen.jobs.waterfall import as_json, as_table, distribute
    from clo_gen.terminal import console

    out = None if out is None else want_new_file(out, ".json", ".csv")
    done = distribute(file, collections, rate=rate)
    if out is not None:
        with new_file(out) as draft:
            if out.suffix == ".json":
                write_json(draft, as_json(done))
            else:
                write_csv(as_table(done), draft)
    screen.show(console.distribution_table(done))
    screen.say(*console.happened(done), *done.notes,
               f"in millions; cash in = cash out to {done.conservation_error:.1e} of par")
    if out is not None:
        screen.say(f"every payment: {out}")
    screen.result(as_json(done) | {"notes_on_input": done.notes,
                                   "cash_conservation_error": done.conservation_error}, out)


def _show(screen, file):
    from clo_gen.io.deal import read_deal
    from clo_gen.io.problems import InputError
    from clo_gen.io.standard import as_toml

    if file.suffix == ".json":
        raise InputError(f"{file}: --show writes out the lists of a deal file (.toml)")
    text = as_toml(read_deal(file).lists)
    screen.say(text)
    screen.result({"waterfall": text.splitlines()})


@command(app, DEALS)
def break_even(
    screen,
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML) that names pool and deal; without it the quickstart.",
        show_default=False)] = None,
    cpr: Annotated[list[float], typer.Option(
        help="Yearly prepayment rate; repeat for several.")] = (0.10, 0.20, 0.30),
    severity: Annotated[list[float], typer.Option(
        help="Share of par lost in default; repeat for several.")] = (0.40, 0.55, 0.70),
    tape: o.Tape = None,
    deal: o.Deal = None,
    set_: o.Set = None,
    out: Annotated[pathlib.Path | None, typer.Option(help="CSV of the table.")] = None,
):
    """First-loss CDR: the highest constant default rate at which each class is paid in full.

    Examples:
    clo-gen break-even --cpr 0.2 --severity 0.5 --severity 0.6
    """
    set_up_jax()
    from clo_gen.io.config import read_config
    from clo_gen.io.csv_file import csv_text
    from clo_gen.io.folders import new_file, want_new_file
    from clo_gen.jobs.break_even import break_even_job
    from clo_gen.terminal import console

    out = None if out is None else want_new_file(out, ".csv")
    read = read_config(config, overrides(set_, tape=tape, deal=deal))
    report = break_even_job(*read, cpr, severity)
    if out is not None:
        with new_file(out) as draft:
            draft.write_text(csv_text(report.rows), encoding="utf-8")
    screen.show(console.break_even_table(report.title, report.rows))
    screen.say(*report.notes)
    screen.result({"first_loss_cdr": report.rows, "converged": report.converged,
                   "notes": report.notes}, out)


@command(app, DEALS)
def hypo(
    screen,
    file: Annotated[pathlib.Path, typer.Argument(
        help="Deals (CSV, one a row), or one deal (TOML).")],
    out: Annotated[pathlib.Path | None, typer.Option(
        help="results.csv; for one deal also a new folder for its obligors and pictures.")] = None,
):
    """Hypo pools: the worst pool that each deal's limits still allow.

    Examples:
    clo-gen hypo deals.csv --out results.csv
    clo-gen hypo deal.toml --out pool
    """
    set_up_jax()
    from clo_gen.jobs.hypo import hypo_job, place_of, save
    from clo_gen.terminal import console

    out = None if out is None else place_of(out)
    report = hypo_job(file)
    if out is not None:
        save(report, out)
    screen.show(console.hypo_table(report))
    screen.say(*console.hypo_notes(report))
    if out is not None:
        screen.say(f"written to {out}")
    screen.result({"deals": report.rows()}, out)


@command(app, DEALS)
def quality(
    screen,
    tape: Annotated[pathlib.Path, typer.Argument(help="Your loan tape (CSV or Parquet).")],
    limits: Annotated[pathlib.Path, typer.Option(help="The deal's limits (TOML).")],
    cutoff: Annotated[str, typer.Option(help="Date of the test, such as 2025-10-15.")],
    before: Annotated[pathlib.Path | None, typer.Option(
        help="Tape of an earlier portfolio, for maintain or improve.")] = None,
    columns: Annotated[pathlib.Path | None, typer.Option(
        help="Column map (TOML) of a tape with other headers.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(help="CSV of every test.")] = None,
):
    """Collateral quality and concentration tests of a tape.

    Examples:
    clo-gen quality tape.csv --limits limits.toml --cutoff 2025-10-15
    """
    set_up_jax()
    from clo_gen.jobs.quality import as_table, quality_job

    report = quality_job(tape, limits, cutoff=cutoff, out=out, before=before, columns=columns)
    screen.show(as_table(report.rows))
    screen.say(*report.notes)
    screen.result({"tests": report.rows, "notes": report.notes}, out)
