"""`clo-gen backtest`: forecasts against real default history, and fits of it, into a run folder."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

from clo_gen.evaluate import backtest, class_ratings, loan_forecasts
from clo_gen.evaluate.count_forecasts import rolling_forecasts
from clo_gen.evaluate.history_fits import correlation_rows, count_fit_rows, share_fit_rows
from clo_gen.evaluate.rating_forecasts import rating_forecasts
from clo_gen.io import checkpoint, default_counts
from clo_gen.io.auto_panel import read_auto_panel
from clo_gen.io.cohort_counts import read_cohort_counts
from clo_gen.io.csv_file import csv_text
from clo_gen.io.deal import read_deal
from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.json_data import read_json, write_json
from clo_gen.io.problems import InputError
from clo_gen.io.sba import read_charge_offs
from clo_gen.io.toml import load_toml
from clo_gen.jobs.train import read_training
from clo_gen.levels import LEVELS
from clo_gen.plots import backtest as plot_backtest


@dataclasses.dataclass
class BacktestReport:
    """Tables (lists of rows) by file name, and what to know about them."""

    tables: dict  # coverage, calibration, periods, loans, fits, correlation, classes
    forecasts: list  # [CountForecast]
    sources: dict  # part -> {"kind": real, user or synthetic, "source"}
    notes: list  # what could not be done, and why

    def add(self, table, rows):
        self.tables.setdefault(table, []).extend(rows)

    def fit_shares(self, label, x, config, note=""):
        """Fits of shares x [N], or a note that too few of them differ."""
        if len(np.unique(x[(x > 0.0) & (x < 1.0)])) < 3:
            self.notes.append(f"{label}: fewer than three different values between 0 and 1, "
                              "nothing fitted")
            return
        self.add("fits", share_fit_rows(label, x, config.draws, config.seed, note=note))

    def judge(self, forecasts, config):
        """Tests, scores and periods of count forecasts."""
        self.forecasts += forecasts
        for f in forecasts:
            self.add("coverage", [backtest.coverage(f, level, seed=config.seed)
                                  for level in config.levels])
            self.add("calibration", [backtest.calibration(f, seed=config.seed)])
            self.add("periods", backtest.by_period(f, config.levels))


def _ratings(config, report, on_step):
    part = config.ratings
    found = rating_forecasts(part, pathlib.Path("."), seed=config.seed, on_step=on_step)
    report.sources["ratings"] = {"kind": "real" if part.events == "embedded" else "user",
                                 "source": found.source}
    report.judge(found.counts, config)
    on_step("ratings: scores and fits")
    single = [loan_forecasts.LoanForecast(f"rated obligors, {horizon} months ahead", model, *(
        rows[i] for i in (1, 2, 0))) for (model, horizon), rows in found.obligors.items()]
    report.add("loans", [loan_forecasts.discrimination_row(s, bins=5) for s in single])
    for horizon, table in found.outcomes.items():
        label = f"rating histories, {horizon} months"
        report.add("correlation", correlation_rows(label, table, config.draws, config.seed))
        report.add("fits", count_fit_rows(label, table, config.draws, config.seed))


def _counted(name, config, report, on_step):
    part = getattr(config, name)
    on_step(f"{name}: forecasts")
    if name == "yearly":
        table, data = default_counts.read_default_counts(part.file), "default counts by year"
    else:
        history = read_cohort_counts(part.file, leave_out=part.leave_out)
        table, data = default_counts.of_cohorts(history), "cohort defaults by month"
    if part.groups is not None:
        unknown = sorted(set(part.groups) - set(table.groups))
        if unknown:
            raise InputError(f"{name}.groups: {', '.join(unknown)}; want some of "
                             + ", ".join(table.groups))
        table = table.only(part.groups)
    try:
        forecasts = rolling_forecasts(table, part, data=data, seed=config.seed)
    except ValueError as error:
        raise InputError(f"{name}.first: {error}") from None
    report.sources[name] = {"kind": "user", "source": part.file}
    report.judge(forecasts, config)
    on_step(f"{name}: fits")
    report.add("correlation", correlation_rows(data, table, config.draws, config.seed))
    report.add("fits", count_fit_rows(data, table, config.draws, config.seed))


def _loans(config, report, on_step):
    part = config.loans
    forecasts = []
    if part.panel is not None:
        on_step("loans: logistic regression")
        panel = read_auto_panel(part.loans, part.panel)
        fit, test = (pd.Period(m, "M") for m in (part.fit_month, part.test_month))
        forecasts += loan_forecasts.panel_forecasts(panel, fit, test)
        report.sources["loans"] = {"kind": "user", "source": part.panel}
        lost = 1.0 - panel.recovery[np.isfinite(panel.recovery)]
        report.fit_shares("auto loss given default", lost, config)
    if part.run is not None:
        on_step("loans: sampling the trained level")
        forecasts += _trained(pathlib.Path(part.run), part.paths, config.seed, report)
    report.add("loans", [loan_forecasts.discrimination_row(f) for f in forecasts])


def _trained(run, paths, seed, report):
    if not (run / "trajectory" / "model.npz").exists():
        raise InputError(f"loans.run {run}: holds no trained trajectory; want a folder written by "
                         "clo-gen train --level trajectory")
    model, about = checkpoint.load_record(run / "trajectory" / "model.npz")
    settings = read_training(run / "config.toml").trajectory
    data = LEVELS["trajectory"].load(settings.data, pathlib.Path("."), model)
    report.sources["loans.run"] = {"kind": about["kind"], "source": about["source"]}
    return loan_forecasts.trained_forecasts(model, data, paths=paths, seed=seed)


def _severity(config, report, on_step):
    on_step("severity: fits")
    losses = read_charge_offs(config.severity.file)
    report.sources["severity"] = {"kind": "user", "source": config.severity.file}
    above = float((losses.severity > 1.0).mean())
    report.fit_shares(
        "charge-off severity", np.minimum(losses.severity, 1.0), config,
        note=f"{above:.1%} above 1, counted as 1" if above else "")


def _classes(config, report, on_step):
    on_step("classes: ratings and simulated losses")
    run = pathlib.Path(config.classes.run)
    if not (run / "summary.json").exists() or not (run / "config.toml").exists():
        raise InputError(f"classes.run {run}: no run; want a folder written by clo-gen run")
    summary = read_json(run / "summary.json")
    terms = read_deal(load_toml(run / "config.toml")["deal"]).terms
    ratings = {note.name: note.rating for note in terms.notes}
    report.add("classes", class_ratings.class_table(summary, ratings))
    report.sources["classes"] = {"kind": summary["data"]["tape"]["kind"],
                                 "source": f"{run}: tape {summary['data']['tape']['source']}"}
    with np.load(run / "paths.npz", allow_pickle=False) as arrays:
        for scenario in summary["scenarios"]:
            loss = np.clip(arrays[f"{scenario}/loss"].astype(float), 0.0, 1.0)
            report.fit_shares(f"simulated pool loss, {scenario}", loss, config,
                              note="simulated, not history")


def backtest_job(config, out=None, *, on_step=lambda text: None):
    """Runs every part that the config names and writes its folder. Returns (BacktestReport,
    folder). Raises InputError with what is wrong, before anything is written."""
    out = choose_folder(config.name, out)
    report = BacktestReport({}, [], {}, [])
    if config.ratings is not None:
        _ratings(config, report, on_step)
    for name in ("yearly", "monthly"):
        if getattr(config, name) is not None:
            _counted(name, config, report, on_step)
    for name, part in (("loans", _loans), ("severity", _severity), ("classes", _classes)):
        if getattr(config, name) is not None:
            part(config, report, on_step)
    on_step("writing")
    _write(config, report, out)
    return report, out


def as_json(config, report):
    """The report as JSON data, all tables but the periods."""
    tables = {name: rows for name, rows in report.tables.items() if name != "periods"}
    return {"name": config.name, "seed": config.seed, "data": report.sources, "tables": tables,
            "notes": report.notes, "config": config.model_dump(mode="json")}


def _write(config, report, out):
    with new_folder(out) as draft:
        for name, rows in report.tables.items():
            columns = list(dict.fromkeys(key for row in rows for key in row))
            (draft / f"{name}.csv").write_text(csv_text(rows, columns))
        write_json(draft / "backtest.json", as_json(config, report))
        if report.forecasts:
            plot_backtest.write_figure(draft / "backtest.png", report.forecasts, config.levels[-1])
