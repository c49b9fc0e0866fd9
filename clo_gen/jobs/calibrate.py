"""`clo-gen calibrate`: stage 3. Named parameters of a run's model, or of auto loans, fitted to
historical figures; before, after, target and interval of each.

Reference: methodology, Training Strategy, Stage 3: Calibration.
"""

import dataclasses
import pathlib
import time
from typing import Any

import tomli_w

from clo_gen.assembly import assemble
from clo_gen.io import checkpoint
from clo_gen.io.config import load_overridden, read_config
from clo_gen.io.csv_file import csv_text
from clo_gen.io.files import FileName
from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import InputError
from clo_gen.io.toml import Record, parse
from clo_gen.plots.calibration import write_calibration
from clo_gen.terminal import console
from clo_gen.train import calibration_auto, calibration_corporate
from clo_gen.train.calibration import Calibration
from clo_gen.train.calibration_auto import AutoTargets, HeldOut
from clo_gen.train.calibration_targets import CorporateTargets, evidence_of


class CalibrationSettings(Record):
    """A calibration config: a name, and the table of what is calibrated."""

    name: FileName
    corporate: CorporateTargets | None = None
    auto: AutoTargets | None = None


@dataclasses.dataclass(frozen=True)
class CalibrationReport:
    """What a calibration left behind."""

    calibration: Calibration
    held_out: tuple[HeldOut, ...]  # auto: every trust left out once
    extra: tuple[Calibration, ...]  # auto: the severity
    model: Any  # Knobs or LoanHazards
    data: dict  # part -> {kind, source, notes}
    seconds: float

    @property
    def comparisons(self):
        return self.calibration.comparisons + tuple(c for e in self.extra for c in e.comparisons)


def read_calibration(path=None, overrides=()):
    """(CalibrationSettings, folder) of a TOML file; without `path` the shipped one.

    Raises InputError with every problem.
    """
    path, data, source = load_overridden(path, "calibrate.toml", overrides)
    config = parse(data, CalibrationSettings, source)
    if (config.corporate is None) == (config.auto is None):
        raise InputError(f"{source}: want either a table [corporate] or a table [auto]")
    return config, path.parent


def calibrate_job(config: CalibrationSettings, folder, out=None, *, on_stage=lambda text: None):
    """(CalibrationReport, folder written) of a config; `folder` is where its file names start.

    Raises InputError for bad input, before anything is written.
    """
    out = choose_folder(config.name, out)
    work = _corporate if config.corporate is not None else _auto
    report = work(config, pathlib.Path(folder), on_stage)
    on_stage("writing")
    with new_folder(out) as draft:
        _write(report, config, pathlib.Path(folder), draft)
    return report, out


def _corporate(config, folder, on_stage):
    start = time.perf_counter()
    on_stage("reading and fitting the run's model")
    a = assemble(*read_config(folder / config.corporate.run))
    if a.config.calibration is not None:
        raise InputError(f"{config.corporate.run}: is calibrated already; want a run without "
                         "[calibration]")
    evidence = evidence_of(config.corporate, a, folder)
    on_stage("calibrating")
    done, knobs = calibration_corporate.calibrate(a, evidence)
    data = a.provenance | {"targets": targets_data(config.corporate, folder, a.provenance)}
    return CalibrationReport(done, (), (), knobs, data, time.perf_counter() - start)


def targets_data(config, folder, provenance):
    """{kind, source, notes} of what a run with this `provenance` is calibrated to: user when any of
    it is the user's, synthetic when the model or its histories are."""
    files = [str((folder / name).resolve()) for name in (config.default_counts, config.severities)
             if name]
    kinds = {provenance[part]["kind"] for part in ("macro", "transitions")}
    made = sorted(kinds - {"real", "user"})
    user = files or "user" in kinds
    source = ", ".join(["S&P 1981-2016 averages, rating histories and macro of the run", *files])
    notes = [f"the run that was calibrated: {part} {about['kind']}"
             for part, about in provenance.items() if about["kind"] != "real"]
    return {"kind": made[0] if made else "user" if user else "real", "source": source,
            "notes": notes}


def _auto(config, folder, on_stage):
    start = time.perf_counter()
    r = calibration_auto.calibrate(config.auto, folder, on_stage=on_stage)
    notes = [f"months up to {config.auto.until}",
             "default is three months in a row without a payment",
             *([] if r.severity_fit else ["no severities: losses are defaulted balances"])]
    data = {"loans": {"kind": "user", "source": config.auto.loans, "notes": notes}}
    if config.auto.severities:
        data["severities"] = {"kind": "user", "source": config.auto.severities, "notes": []}
    extra = () if r.severity_fit is None else (r.severity_fit,)
    return CalibrationReport(r.calibration, r.held_out, extra, r.hazards, data,
                             time.perf_counter() - start)


def _absolute(config, folder):
    """The config as TOML data with absolute file names."""
    data = config.model_dump(exclude_none=True)
    for table, keys in (("corporate", ("run", "default_counts", "severities")),
                        ("auto", ("loans", "severities"))):
        for key in set(keys) & set(data.get(table, ())):
            data[table][key] = str((folder / data[table][key]).resolve())
    return data


def _write(report, config, folder, draft):
    (draft / "config.toml").write_text(tomli_w.dumps(_absolute(config, folder)))
    write_json(draft / "calibration.json", as_json(report))
    parameters = report.calibration.parameters + tuple(
        p for e in report.extra for p in e.parameters)
    _table(draft / "calibration.csv", report.comparisons)
    _table(draft / "parameters.csv", parameters)
    if report.held_out:
        _table(draft / "held_out.csv", report.held_out, leave_out="fit")
    write_calibration(report.comparisons, draft / "calibration.png")
    checkpoint.save_record(draft / "calibrated.npz", report.model, {"data": report.data})


def _table(path, records, leave_out=""):
    names = [f.name for f in dataclasses.fields(records[0]) if f.name != leave_out]
    path.write_text(csv_text([{name: getattr(r, name) for name in names} for r in records]))


def as_json(report: CalibrationReport):
    """The content of calibration.json."""
    def plain(calibration):
        return {"converged": calibration.converged, "rank": calibration.rank,
                "condition": calibration.condition, "notes": list(calibration.notes),
                "parameters": [dataclasses.asdict(p) for p in calibration.parameters],
                "targets": [dataclasses.asdict(c) for c in calibration.comparisons]}

    held_out = [{f.name: getattr(h, f.name) for f in dataclasses.fields(h)} | {"fit": plain(h.fit)}
                for h in report.held_out]
    return plain(report.calibration) | {
        "severity": [plain(e) for e in report.extra], "held_out": held_out,
        "data": report.data, "seconds": report.seconds}


def summary_rows(comparisons):
    """(group, fitted, targets, inside before, inside after) of every group of targets."""
    groups: dict = {}
    for row in comparisons:
        groups.setdefault(row.group, []).append(row)
    return [(name, rows[0].fitted, len(rows), sum(r.inside_before for r in rows),
             sum(r.inside for r in rows)) for name, rows in groups.items()]


def tables(report: CalibrationReport):
    """Short tables: targets met by group, and every trust left out."""
    table = console.new_table("stage 3: model inside the targets' 95 % intervals",
                               ["target", "", "targets", "before", "after"])
    for name, fitted, count, before, after in summary_rows(report.comparisons):
        table.add_row(name, "fitted" if fitted else "checked", str(count), str(before), str(after))
    yield table
    if report.held_out:
        table = console.new_table("expected loss of each trust, calibrated on the others",
                                   ["left out", "loans", "realised", "95 % interval", "before",
                                    "after", "after / realised"])
        for h in report.held_out:
            table.add_row(h.trust, f"{h.loans:,}", f"{h.loss:.2%}", f"{h.low:.2%} - {h.high:.2%}",
                          f"{h.before:.2%}", f"{h.after:.2%}",
                          f"{h.ratio:.3f}" + ("" if h.within else " MISSED")
                          if h.loss > 0 else "no default: nothing to compare")
        yield table


def lines_of(report: CalibrationReport, written):
    """What to know below the table of a calibration."""
    c = report.calibration
    loose = [p.name for p in c.parameters if not p.identified]
    yield (f"{len(c.parameters)} parameters, rank {c.rank}, condition {c.condition:,.0f}"
           + ("" if c.converged else "; NOT CONVERGED"))
    if loose:
        yield (f"{len(loose)} of them rest on their prior: {', '.join(loose[:6])}"
               + (f" and {len(loose) - 6} more" if len(loose) > 6 else ""))
    for row in report.comparisons:
        if not row.inside:
            yield (f"outside{'' if row.fitted else ' (not fitted)'}: {row.group}, {row.name}: "
                   f"{row.after:.4f}, want {row.low:.4f} to {row.high:.4f}")
    yield from c.notes
    yield from (f"{name}: {part['kind']} - {part['source']}"
                for name, part in report.data.items())
    yield f"{report.seconds:.0f} s; written to {written} (open calibration.png)"
