"""Options that several commands have, with one name and one meaning everywhere."""

import pathlib
from typing import Annotated

import typer

Config = Annotated[pathlib.Path | None, typer.Argument(
    help="Run config (TOML); without it the shipped quickstart.", show_default=False)]
Out = Annotated[pathlib.Path | None, typer.Option(
    help="New folder of the results, instead of one under runs/; never overwritten.")]
Tape = Annotated[pathlib.Path | None, typer.Option(
    help="Your loan tape (CSV or Parquet), instead of the config's.")]
Deal = Annotated[pathlib.Path | None, typer.Option(
    help="Your deal (TOML), instead of the config's.")]
Seed = Annotated[int | None, typer.Option(help="Seed of every random draw.")]
Set = Annotated[list[str] | None, typer.Option(
    "--set", metavar="KEY=VALUE", help="Any config value, e.g. --set macro.lags=3; repeat for "
    "several.")]
Scenario = Annotated[str | None, typer.Option(
    help="One of the config's scenarios; without it the first.")]
Temperature = Annotated[float | None, typer.Option(
    help="Of the tests; without it the config's, or 0.01 where that is 0.")]
SystematicPaths = Annotated[int, typer.Option("--paths", help="Systematic paths.")]
