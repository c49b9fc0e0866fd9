"""The shipped column maps, on constructed files with headers such as they name."""

import numpy as np
import pytest
from test_tape import read

from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.io.tape import read_column_map

TRUSTEE = """LoanX ID,Issuer Name,Par Amount,Interest Type,Spread,Floor,All-In Rate,\
Stated Maturity,\
Moody's Rating,S&P Rating,Lien Type,Market Price,Cov-Lite,Note
CONSTRUCTED1,Alpha,1000000,Floating,3.50,0.75,,10/15/2030,B2,B,First Lien,99.5,Yes,x
CONSTRUCTED2,Beta,3000000,Fixed Rate,,,8.25,4/1/2029,Caa1,CCC+,Senior Unsecured,80,No,y
"""
TERMINAL = """ID,Issuer,Par Amount,Cpn Typ,Margin (bp),Cpn,Maturity,Rtg S&P,Ranking,Price
CONSTRUCTED1,Alpha,1000000,FLOATING,350,,10/15/2030,B,1st lien,99.5
CONSTRUCTED2,Beta,3000000,FIXED,,8.25,04/01/2029,CCC+,Sr Unsecured,80
"""


@pytest.mark.parametrize("name,text", [("trustee_clo", TRUSTEE), ("loan_tape_terminal", TERMINAL)])
def test_shipped_maps_read_the_headers_they_name(tmp_path, name, text):
    path = tmp_path / "schedule.csv"
    path.write_text(text)
    got = read(path, columns=read_column_map(config_path(f"columns/{name}.toml")))
    np.testing.assert_allclose(got.tape.spread, [0.035, 0.0])
    np.testing.assert_allclose(got.tape.coupon, [0.0, 0.0825])
    assert got.frame["market_price"].tolist() == [0.995, 0.8]
    assert got.frame["lien"].tolist() == ["first", "unsecured"]
    assert got.frame["maturity_date"].dt.strftime("%Y-%m-%d").tolist() == ["2030-10-15",
                                                                           "2029-04-01"]
    assert got.frame["obligor_id"].tolist() == ["Alpha", "Beta"]


def test_what_a_file_still_lacks_is_named(tmp_path):
    path = tmp_path / "schedule.csv"
    path.write_text(TRUSTEE.replace("Spread", "Margin over index"))
    columns = read_column_map(config_path("columns/trustee_clo.toml"))
    with pytest.raises(InputError, match="column spread_bps: missing"):
        read(path, columns=columns)
    path.write_text(TRUSTEE.replace("10/15/2030", "15/10/2030"))
    with pytest.raises(InputError, match="row 2 .CONSTRUCTED1., maturity_date: '15/10/2030'"):
        read(path, columns=columns)


def test_a_map_without_skip_missing_must_fit(tmp_path):
    (tmp_path / "map.toml").write_text('[columns]\n"Par" = "current_balance"\n"X" = "lien"\n')
    (tmp_path / "t.csv").write_text("Par\n1\n")
    with pytest.raises(InputError, match="the column map names 'X', which the file does not have"):
        read(tmp_path / "t.csv", columns=read_column_map(tmp_path / "map.toml"))


def test_units_are_those_of_the_column(tmp_path):
    (tmp_path / "map.toml").write_text('[units]\nspread_bps = "fraction"\nrating = "percent"\n')
    with pytest.raises(InputError) as error:
        read_column_map(tmp_path / "map.toml")
    assert "units.spread_bps: 'fraction'; want one of percent, basis points" in str(error.value)
    assert "units: 'rating'; want one of interest_rate" in str(error.value)
