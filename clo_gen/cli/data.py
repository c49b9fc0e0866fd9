"""Public loan files in, results out, for other tools."""

import pathlib
from typing import Annotated

import typer

from clo_gen.cli import options as o
from clo_gen.cli.app import DATA, app, command, set_up_jax


@command(app, DATA)
def convert(
    screen,
    kind: Annotated[str, typer.Argument(help="freddie-mac or auto-loans.")],
    files: Annotated[list[pathlib.Path], typer.Argument(
        help="freddie-mac: origination and performance file, or the zip file of both; auto-loans: "
        "one asset-level file (XML or CSV) a reporting period.")],
    trust: Annotated[str | None, typer.Option(
        help="auto-loans: name of the trust, its cohort.")] = None,
    default_days: Annotated[int | None, typer.Option(
        help="Days past due from which a loan counts as defaulted; without it only what the "
        "servicer reports as such.")] = None,
    out: o.Out = None,
):
    """Public loan files as a loan-month panel, transition counts and training files.

    Examples:
    clo-gen convert freddie-mac orig.txt svcg.txt --out panel
    clo-gen convert auto-loans 2024-01.xml 2024-02.xml --trust ABC-2024-1
    """
    from clo_gen.jobs.convert import convert_job

    done = convert_job(kind, files, out, trust=trust, default_days=default_days)
    screen.say(*(f"{name}: {rows:,} rows" for name, rows in done.rows.items()),
               *(f"{name.replace('_', ' ')}: {value}" for name, value in done.summary.items()),
               *done.notes, f"written to {done.folder}")
    screen.result({"files": done.rows, "summary": done.summary, "notes": done.notes}, done.folder)


@command(app, DATA)
def export(
    screen,
    run: Annotated[pathlib.Path, typer.Argument(help="A folder written by clo-gen run.")],
    out: o.Out = None,
):
    """Tape, path results and class tables of a run as Parquet files.

    Examples:
    clo-gen export runs/quickstart --out parquet
    """
    from clo_gen.jobs.export import export_job

    done = export_job(run, out)
    screen.say(*(f"{name}: {rows:,} rows" for name, rows in done.rows.items()), *done.notes,
               f"written to {done.folder}")
    screen.result({"files": done.rows, "notes": done.notes}, done.folder)


@command(app, DATA)
def export_deal(
    screen,
    deal: Annotated[pathlib.Path, typer.Argument(help="The deal (TOML).")],
    collections: Annotated[pathlib.Path, typer.Option(
        help="Cash of every payment period (CSV).")],
    out: Annotated[pathlib.Path, typer.Option(help="New JSON file.")],
    rate: Annotated[float, typer.Option(
        min=-0.5, max=10.0, help="Flat yearly rate at which classes are priced.")] = 0.07,
):
    """A deal with its collections and every payment as JSON (clo_waterfall_oracle_v1).

    What the schema cannot say of a deal is refused by name.

    Examples:
    clo-gen export-deal deal.toml --collections c.csv --out deal.json
    """
    set_up_jax()
    from clo_gen.jobs.export import oracle_job

    oracle_job(deal, collections, out, rate=rate)
    screen.say(f"written to {out}; clo-gen waterfall {out} reads it")
    screen.result({"deal": str(deal)}, out)
