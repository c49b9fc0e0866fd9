"""Quality tests of a tape: positions, groups, limits, the job, its tables, every complaint."""

import csv
import datetime
import io

import numpy as np
import pytest
from rich.console import Console

from clo_gen.io import hypo_tables
from clo_gen.io.problems import InputError
from clo_gen.io.quality import holdings, members
from clo_gen.io.quality_limits import GroupTerms, notches, read_limits
from clo_gen.io.synthetic import synthetic_tape
from clo_gen.io.tables import config_path
from clo_gen.io.tape import read_tape
from clo_gen.jobs.quality import as_table, quality_job
from clo_gen.states import RATING

CUTOFF = datetime.date(2025, 10, 15)
US_2016 = config_path("limits/us_2016.toml")
COLUMNS = """loan_id,obligor_id,current_balance,rate_type,maturity_date,interest_rate,spread_bps,
floor,amortization_type,payment_frequency,rating_moodys,rating_sp,rating,industry_moodys,
industry_sector,lien,cov_lite,geography_country,recovery_rate,default_date,origination_date,
term_months"""
TAPE = COLUMNS.replace("\n", "") + """
L1,A,40,float,2030-10-15,,350,100,bullet,quarterly,B2,CCC,,Retail,x,first,yes,US,0.5,,,
L2,A,20,float,2026-10-15,,350,500,straight_line,quarterly,,B+,,Retail,x,first,no,US,0.5,,,
L3,,20,fixed,2026-10-15,0.0,,,balloon,quarterly,,,B,,Media,second,no,CA,0.3,,2025-10-15,24
L4,B,20,fixed,2028-10-15,0.09,,,bullet,annual,Caa,,CCC,,Media,first,yes,US,0.4,,,
L5,C,100,float,2028-10-15,,900,,bullet,quarterly,,,D,,Media,second,yes,MX,0.4,,,
"""


def loaded(tmp_path, text=TAPE):
    path = tmp_path / "tape.csv"
    path.write_text(text)
    return read_tape(path, cutoff=CUTOFF, space=RATING, indices=("SOFR",),
                     recovery_by_lien={"first": 0.6, "second": 0.3, "unsecured": 0.35})


def test_tape_into_holdings(tmp_path):
    got = holdings(loaded(tmp_path), np.array([0.04]))
    np.testing.assert_allclose(got.share, [0.4, 0.2, 0.2, 0.2, 0.0])  # the defaulted do not count
    assert [got.obligors[i] for i in got.obligor] == ["A", "A", "L3", "B", "C"]
    assert [got.industries[i] for i in got.industry] == ["Retail", "Retail", *["Media"] * 3]
    assert got.rating[:4].tolist() == [15, 14, 15, 18]  # Moody's first; a bare letter: the middle
    # floors of 1 % and 5 % against an index of 4 %; fixed coupons less the index
    np.testing.assert_allclose(got.spread[:4], [0.035, 0.045, -0.04, 0.05], atol=1e-12)
    # bullet; a quarter every 3 months; 12.5 % three times, then 62.5 %
    np.testing.assert_allclose(got.life[:4], [5.0, 0.625, 0.8125, 3.0], atol=1e-12)
    assert any("1 defaulted loans (100) do not count" in note for note in got.notes)
    assert any("industry_moodys for 2 loans" in note for note in got.notes)
    np.testing.assert_allclose(holdings(loaded(tmp_path), np.array([0.04]), 125.0).share.sum(), 0.8)


def test_groups_are_what_meets_every_criterion(tmp_path):
    got = holdings(loaded(tmp_path), np.array([0.04]))
    groups = [GroupTerms(name=str(n), max=0.1, **criteria) for n, criteria in enumerate((
        {"rating_below": "B3"}, {"rating_below": "B2"}, {"cov_lite": True},
        {"countries_outside": ("US",)}, {"liens": ("second", "unsecured")}, {"rate_type": "fixed"},
        {"payment_frequencies": ("annual",)}, {"matures_after": datetime.date(2028, 10, 15)},
        {"cov_lite": True, "rate_type": "fixed"}))]
    want = [[0, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 1, 1],
            [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert members(got, groups)[:, :4].tolist() == want
    assert members(got, ()).shape == (0, 5)


def test_bad_ratings_and_blanks_are_named_at_once(tmp_path):
    text = TAPE.replace(",Caa,", ",B7,").replace(",B2,CCC,,", ",NR,,B,")
    with pytest.raises(InputError) as error:
        holdings(loaded(tmp_path, text), np.array([0.04]))
    assert "2 problems" in str(error.value) and "row 2 (L1), rating: 'NR'" in str(error.value)
    assert "row 5 (L4), rating: 'B7'; want a notch of Moody's" in str(error.value)
    text = TAPE.replace(",yes,US", ",,US").replace(",CA,", ",,").replace(",US,", ",,")
    groups = [GroupTerms(name="cov", max=0.1, cov_lite=True),
              GroupTerms(name="abroad", max=0.1, countries_outside=("US",))]
    with pytest.raises(InputError) as error:
        members(holdings(loaded(tmp_path, text), np.array([0.04])), groups)
    assert "row 2 (L1), cov_lite: missing; want a value, which group 'cov'" in str(error.value)
    assert "column geography_country: missing; group 'abroad'" in str(error.value)
    only_default = "\n".join([TAPE.splitlines()[0], TAPE.splitlines()[5]]) + "\n"
    with pytest.raises(InputError, match="no loan that is not defaulted"):
        holdings(loaded(tmp_path, only_default), np.array([0.04]))


def test_notches_of_three_agencies_and_bare_letters():
    for name, notch in {"Aaa": 1, "B2": 15, "B+": 14, "B (low)": 16, "B": 15, "Caa": 18, "Baa": 9,
                        "Aa": 3, "BB": 12, "CCC": 18, "CC": 20, "Ca": 20, "C": 21}.items():
        assert notches()[name] == notch, name


BAD = """
[limits]
diversity_min = -1
warf_maximum = 2900
warf_points_per_recovery = 60
warr_min = 45
obligor_max = 0.02
obligor_exceptions = "5x0.015"
industry_exceptions = "two at 12 %"
groups = [
  { name = "CCC", rating_below = "B7", max = 0.075 },
  { name = "all", max = 0.5 },
  { name = "far", countries_outside = [], max = 2.0 },
]
"""


def test_every_complaint_about_limits_at_once(tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text(BAD)
    with pytest.raises(InputError) as error:
        read_limits(path)
    text = str(error.value)
    for part in ("limits.diversity_min: -1; want",
                 "limits.warf_maximum: unknown key, perhaps warf_max",
                 "limits.warf_recovery_base", "limits.warr_min: 45; want at most 1",
                 "limits.obligor_exceptions: '5x0.015'; want shares above obligor_max (0.02)",
                 "limits.industry_exceptions: 'two at 12 %'; want exceptions such as",
                 "limits.groups[1].rating_below: 'B7'; want a notch", "limits.groups[2]",
                 "want at least one of rating_below, cov_lite", "limits.groups[3].max: 2.0"):
        assert part in text, part
    assert str(path) in text and "10 problems" in text


def test_shipped_limits_are_the_published_ones():
    got = read_limits(US_2016)
    assert (got.diversity_min, got.was_min_bps, got.warr_min, got.wal_max_years) == (
        55, 393.6, 0.455, 6.74)
    assert (got.warf_max, got.warf_points_per_recovery, got.warf_recovery_base) == (2740, 67, 0.43)
    assert got.obligor_exceptions == (0.025,) * 5 and got.industry_exceptions == (0.15, 0.12, 0.12)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """The quickstart's synthetic tape, and one with 5 bp less of spread."""
    folder = tmp_path_factory.mktemp("quality")
    frame = synthetic_tape(obligors=200, par=5.5e8, cutoff=CUTOFF, spread_bps=336, seed=1,
                           rating_weights={"BB": 0.10, "BB-": 0.12, "B+": 0.22, "B": 0.32,
                                           "B-": 0.18, "CCC+": 0.06})
    frame.to_csv(folder / "tape.csv", index=False)
    frame["spread_bps"] = frame["spread_bps"].astype(float) - 5.0
    frame.to_csv(folder / "earlier.csv", index=False)
    return folder


def test_job_on_the_quickstart_tape(quickstart, tmp_path):
    out = tmp_path / "tests.csv"
    report = quality_job(quickstart / "tape.csv", US_2016, cutoff="2025-10-15", out=out,
                         before=quickstart / "earlier.csv")
    rows = {row["test"]: row for row in report.rows}
    assert abs(rows["spread"]["result"] - 0.0336) < 1e-9  # the floors are below the index
    assert rows["spread"]["passes"] is False and rows["spread"]["maintained"] is True
    assert abs(rows["spread"]["cushion"] + 0.00576) < 1e-9
    assert abs(rows["risk score"]["threshold"]
               - (2740 + 67 * (100 * rows["recovery"]["result"] - 43))) < 1e-6
    assert 55 < rows["diversity score"]["result"] < 200 and 4 < rows["life"]["result"] < 7
    assert [rows[f"obligor {n}"]["threshold"] for n in range(1, 7)] == [0.025] * 5 + [0.02]
    assert any("federal funds rate of 2025-09" in note for note in report.notes)
    with open(out, encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["test"] for row in written] == list(rows) and len(written) == 15
    console = Console(width=100, file=io.StringIO())
    console.print(as_table(report.rows))
    text = console.file.getvalue()
    assert "fails, maintained" in text and "336.0 bp  at least 393.6 bp" in text


def test_job_says_where_there_is_no_limit_and_takes_an_index(quickstart, tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text('[limits]\nwarf_max = 2000\ngroups = [{ name = "cov-lite", cov_lite = true, '
                    'max = 0.5 }, { name = "CCC", rating_below = "B3", max = 0.075 }]\n')
    report = quality_job(quickstart / "tape.csv", path, cutoff=CUTOFF, indices={"SOFR": 0.0})
    rows = {row["test"]: row for row in report.rows}
    assert rows["spread"]["threshold"] is rows["obligor 1"]["passes"] is None
    assert 0.0336 < rows["spread"]["result"] < 0.0336 + 0.0075  # the floors count now
    assert rows["risk score"]["passes"] is False and rows["risk score"]["maintained"] is None
    assert not rows["cov-lite"]["passes"] and rows["CCC"]["passes"]
    assert as_table(report.rows).row_count == 9


def test_job_complains_about_all_files_at_once(quickstart, tmp_path):
    bad = tmp_path / "limits.toml"
    bad.write_text("[limits]\nwarr_min = 45\n")
    with pytest.raises(InputError) as error:
        quality_job(tmp_path / "none.csv", bad, cutoff=CUTOFF, before=tmp_path / "nor.csv")
    for part in ("limits.warr_min: 45", "none.csv: no such file", "nor.csv: no such file"):
        assert part in str(error.value)
    with pytest.raises(InputError, match="cutoff: 'soon'; want a date"):
        quality_job(quickstart / "tape.csv", US_2016, cutoff="soon")
    with pytest.raises(InputError, match="want a name ending in .csv"):
        quality_job(quickstart / "tape.csv", US_2016, cutoff=CUTOFF, out=tmp_path / "a.json")


def test_tables_have_the_published_numbers():
    bound, score = hypo_tables.diversity_table()
    assert bound.shape == score.shape == (201,) and (np.diff(bound) > 0).all()
    assert (bound[-1], score[-1], score[10]) == (19.95, 5.0, 1.0)
    scores = hypo_tables.moodys_risk_scores()
    assert scores.shape == (19,) and (np.diff(scores) > 0).all() and scores[-1] == 8070
    assert hypo_tables.moodys_rating_factors()[19:].tolist() == [10000, 10000]
    sp = hypo_tables.sp_rating_factors()
    assert sp.shape == (19,) and (sp[0], sp[-1]) == (13.51, 5751.1)
    rates, label = hypo_tables.idealised_default_rates()
    assert rates.shape == (19, 10) and "not a published table" in label
    np.testing.assert_allclose(rates[:, -1], scores / 1e4, rtol=0.02)
    np.testing.assert_allclose(hypo_tables.bdr_coefficients("OCP CLO 2020-18"),
                               [0.121609, 3.706211, 1.025031])
    assert hypo_tables.sdr_coefficients("SP_WARF")[1] == 9162.65
    assert hypo_tables.sdr_coefficients("EPDR").shape == (7,)
    assert hypo_tables.dbrs_risk_scores() == {1: 0.0987, 2: 0.1539, 3: 0.2091, 4: 0.2994}
    assert len(hypo_tables.industry_codes()) == 32
    with pytest.raises(ValueError, match="read-only"):
        bound[0] = 1.0
    for call in (lambda: hypo_tables.bdr_coefficients("X"),
                 lambda: hypo_tables.sdr_coefficients("X")):
        with pytest.raises(InputError, match="'X'; want one of"):
            call()
