"""What stage 2 matches: yearly default counts, published averages, what ratings imply of notes.

One example is a year: the macro months before it and in it, and who defaulted. Counts come from
the embedded rating histories, or from a file as agencies publish them (io.default_counts).
"""

import dataclasses
import json
import pathlib
from typing import Annotated, Any

import jax
import numpy as np
import pandas as pd
from pydantic import Field

from clo_gen.assembly import HISTORY_MONTHS, Assembly, assemble, load_macro
from clo_gen.io import default_counts, tables
from clo_gen.io.config import (
    FactorConfig,
    MacroConfig,
    RunConfig,
    Share,
    SyntheticTape,
    TapeConfig,
    TransitionConfig,
    read_scenarios,
)
from clo_gen.io.panel import read_rating_events
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.toml import Record
from clo_gen.risk.rating import EXPECTED_LOSS_SEVERITY, idealised_rate
from clo_gen.states import RATING

SPECULATIVE = tuple(RATING.index(name) for name in ("BB", "B", "CCC"))
AVERAGED = tuple(RATING.index(name) for name in ("BBB", "BB", "B", "CCC"))  # published averages
HORIZONS = (12, 24, 36)  # months, of them
SPLITS = ("train", "held_out", "test")
Year = Annotated[int, Field(ge=1900, le=2200)]


class DealTarget(Record):
    """[portfolio.deal]: the deal whose notes are matched; its loans are synthetic."""

    file: str = "stage2_deal.toml"
    tape: SyntheticTape = SyntheticTape(obligors=24, spread_bps=380.0, rating_weights={
        "BB": 0.25, "B": 0.65, "CCC+": 0.10})


class PortfolioTraining(Record):
    """[portfolio.data]: which years are for what."""

    counts: str = "embedded"  # or a CSV with year, rating, firms, defaults
    ratings: dict[str, str] = {"C": "CCC"}  # names in that file that are not our states
    first: Year | None = None
    held_out_from: Year = 2003  # training stops by the years from here
    test_from: Year = 2004  # to here; the years from here on are never looked at
    last: Year | None = None
    deal: DealTarget = DealTarget()
    factors: FactorConfig = FactorConfig()
    withdrawal: Share | None = None  # yearly share of ratings; None: the published average


@dataclasses.dataclass(frozen=True)
class PortfolioData:
    """Years, targets and the deal; see `examples` for the arrays."""

    config: PortfolioTraining
    kind: str  # of the counts: real or user
    source: str
    years: np.ndarray  # [Y]
    examples: dict  # "history" [Y, H, M], "path" [Y, 12, M], "firms" and "defaults" [Y, S live]
    averages: np.ndarray  # [3, 4] published default rates at HORIZONS of AVERAGED
    withdrawal: float  # monthly
    deal: Assembly
    scenario: Any  # baseline over HORIZONS[-1] months
    notes: dict  # "probability" [K - 1], "severity": what the notes' ratings imply

    def part(self, name):
        """Row numbers of "train", "held_out" or "test"."""
        held, test = self.config.held_out_from, self.config.test_from
        low, high = {"train": (-1, held), "held_out": (held, test), "test": (test, 10**6)}[name]
        return np.flatnonzero((self.years >= low) & (self.years < high))

    def months(self, name):
        """`examples` of one part."""
        rows = self.part(name)
        return jax.tree.map(lambda x: x[rows], self.examples)


def _from_events():
    """(years, firms [Y, R], defaults [Y, R], source) of static pools of the rating histories."""
    path = tables.data_path("rating_events_1999_2005.csv")
    panel = read_rating_events(path, RATING)
    live = len(RATING.live)
    months = panel["month"]
    years = np.arange(months.min().year + (months.min().month > 1), months.max().year + 1)
    if months[months.dt.year == years[0] - 1].empty:
        years = years[1:]
    firms, defaults = np.zeros((2, len(years), live))
    for row, year in enumerate(years):
        _, state, lost = default_counts.panel_outcomes(panel, pd.Period(f"{year}-01", "M"), 12,
                                                       RATING)
        firms[row] = np.bincount(state, minlength=live)
        defaults[row] = np.bincount(state, weights=lost, minlength=live)
    return years, firms, defaults, path.name


def _from_file(config, path):
    counts = default_counts.read_default_counts(path)
    problems = Problems(path)
    names = [config.ratings.get(name, name) for name in counts.groups]
    for name, state in zip(counts.groups, names, strict=True):
        if state not in RATING.live:
            problems.add("rating", name, "one of " + ", ".join(RATING.live)
                         + "; say in portfolio.data.ratings which of them it is")
    problems.raise_if_any()
    firms, defaults = np.zeros((2, len(counts.periods), len(RATING.live)))
    for column, state in enumerate(names):
        firms[:, RATING.index(state)] += counts.obligors[:, column]
        defaults[:, RATING.index(state)] += counts.defaults[:, column]
    return np.array(counts.periods, int), firms, defaults, pathlib.Path(path).name


def published():
    """(default rates [3, 4] at HORIZONS of AVERAGED, yearly share of speculative ratings withdrawn)

    of S&P's global corporates 1981-2016; shares of all issuers, withdrawn ones included.
    """
    table = json.loads(tables.data_path("sp_cumulative_1981_2016.json").read_text())
    labels, share = table["labels"], np.array(table["P"])
    rows = [table["horizons_years"].index(months // 12) for months in HORIZONS]
    columns = [labels.index(RATING.states[s]) for s in AVERAGED]
    spec = [labels.index(RATING.states[s]) for s in SPECULATIVE]
    return (share[np.ix_(rows, columns, [labels.index("D")])][..., 0],
            float(share[0, spec, labels.index("NR")].mean()))


def _deal(config: PortfolioTraining, stage1, macro, folder):
    """Assembly of the deal on the learned levels of the run `stage1`."""
    c = config.deal
    run = RunConfig(
        name="stage2-deal", mode="expected", scenarios=("baseline",), deal=str(folder / c.file),
        scenario_file=str(tables.config_path("scenarios.toml")), tape=TapeConfig(synthetic=c.tape),
        macro=MacroConfig(generator="cvae", run=str(stage1), **macro), factors=config.factors,
        transitions=TransitionConfig(model="transformer", run=str(stage1)))
    return assemble(run, pathlib.Path("/"))


def _implied(a: Assembly):
    """What the notes' ratings imply: probability [K - 1] of a loss over half the deal's life."""
    table = tables.idealised_default_table_standin()
    rates = np.asarray(idealised_rate(table, 0.5 * float(a.deal.calendar.years[-1])))
    scale = pd.read_csv(tables.data_path("rating_scale.csv")).set_index("sp")["moodys"]
    problems, found = Problems(a.deal.source), []
    for note in a.deal.terms.notes:
        name = scale.get(note.rating or "", note.rating)
        if name not in table.names:
            problems.add(f"notes.{note.name}.rating", note.rating, "a rating, to match its returns")
        else:
            found.append(rates[table.names.index(name)])
    problems.raise_if_any()
    return {"probability": np.array(found), "severity": EXPECTED_LOSS_SEVERITY}


def load(config: PortfolioTraining, stage1, macro_settings, folder=pathlib.Path(".")):
    """PortfolioData for the stage-1 run folder `stage1`.

    `macro_settings` say source, layout, units, credit_spread and series of the macro level. Raises
    InputError for bad files and for splits without a year.
    """
    embedded = config.counts == "embedded"
    years, firms, defaults, source = (
        _from_events() if embedded else _from_file(config, pathlib.Path(folder) / config.counts))
    a = _deal(config, stage1, macro_settings, pathlib.Path(folder))
    months = a.config.macro.series
    frame = _macro(macro_settings)
    keep = ((years >= (config.first or years[0])) & (years <= (config.last or years[-1])))
    years, firms, defaults = years[keep], firms[keep], defaults[keep]
    rows = [frame.index.get_indexer([pd.Period(f"{y}-01", "M")])[0] for y in years]
    short = [int(y) for y, r in zip(years, rows, strict=True)
             if r < HISTORY_MONTHS or r + 12 > len(frame)]
    if short:
        raise InputError(f"{source}: {short}: want macro months of the year and "
                         f"{HISTORY_MONTHS} before; say portfolio.data.first or last")
    values = frame.to_numpy()
    examples = {"history": np.stack([values[r - HISTORY_MONTHS: r] for r in rows]),
                "path": np.stack([values[r: r + 12] for r in rows]),
                "year": years.astype(np.int32), "firms": firms, "defaults": defaults}
    averages, withdrawn = published()
    withdrawn = withdrawn if config.withdrawal is None else config.withdrawal
    scenario = read_scenarios(tables.config_path("scenarios.toml"), ["baseline"], months,
                              HORIZONS[-1])["baseline"]
    data = PortfolioData(config, "real" if embedded else "user", source, years, examples, averages,
                         1.0 - (1.0 - withdrawn) ** (1.0 / 12.0), a, scenario, _implied(a))
    for split in SPLITS:
        if not len(data.part(split)):
            raise InputError(f"{source}: {years[0]} to {years[-1]} leave no {split} year; want "
                             "other years in portfolio.data.held_out_from or test_from")
    return data


def _macro(settings):
    config = MacroConfig(**settings)
    return load_macro(config, pathlib.Path("."), None).until(None, config.series)

