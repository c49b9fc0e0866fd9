"""`clo-gen init`: a folder with a deal, a tape, scenarios and a config that runs as it is."""

import pathlib
import re

from clo_gen.io.config import read_config
from clo_gen.io.csv_file import write_csv
from clo_gen.io.deal import read_deal
from clo_gen.io.files import is_file_name
from clo_gen.io.folders import new_folder
from clo_gen.io.problems import InputError
from clo_gen.io.synthetic import synthetic_tape
from clo_gen.io.tables import config_path

OBLIGORS = 120
_README = """# {name}

| file | what it is |
|---|---|
| `config.toml` | what is run: paths, scenarios, models; commented |
| `deal.toml` | the deal: classes, fees, tests, dates, assumptions |
| `tape.csv` | the loans. SYNTHETIC: made up around the deal's published averages |
| `scenarios.toml` | what the four macro scenarios do to each series |

    clo-gen run config.toml                        # writes runs/{name}, with report.html
    clo-gen run config.toml --paths 100            # quicker
    clo-gen deal check deal.toml                   # the deal in words, with every problem found
    clo-gen break-even config.toml                 # first-loss default rate of each class
    clo-gen run config.toml --tape my_tape.csv     # your own loans

Your own tape needs `loan_id, current_balance, rate_type, maturity_date` and, for floating loans,
`spread_bps`; a `rating` (S&P, Moody's or DBRS scale), and enough par to carry the deal's notes.
Columns of `tape.csv` beyond these may be left out. Headers of your own are mapped by a file that
`[tape] columns` names. What is wrong with a file is told all at once, with row and field.
"""


def init_job(folder):
    """Writes the new folder `folder`; returns the names of its files.

    Raises InputError when something other than an empty folder is there, or its name cannot be that
    of a run.
    """
    folder = pathlib.Path(folder)
    name = folder.resolve().name
    if not folder.name or not is_file_name(name):
        raise InputError(f"{folder}: want a name of letters, digits, dots, dashes and underscores "
                         "that starts with a letter or digit")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already; want a new or empty folder")
    config, shipped = read_config()
    deal = read_deal(shipped / config.deal)
    terms = config.tape.synthetic
    assert terms is not None
    tape = synthetic_tape(
        obligors=OBLIGORS, par=deal.par, cutoff=deal.terms.closing,
        rating_weights=terms.rating_weights,
        spread_bps=terms.spread_bps, seed=terms.seed)
    files = {"config.toml": _config(name), "README.md": _README.format(name=name),
             "deal.toml": (shipped / config.deal).read_text(),
             "scenarios.toml": (shipped / config.scenario_file).read_text()}
    try:
        with new_folder(folder) as draft:
            for file, text in files.items():
                (draft / file).write_text(text)
            write_csv(tape, draft / "tape.csv")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    return sorted([*files, "tape.csv"])


def _config(name):
    """The quickstart's text with this folder's files."""
    text = config_path("quickstart.toml").read_text()
    text = re.sub(r"\A(#.*\n)+", f"# {name}: `clo-gen run config.toml`. File names are relative to "
                  "this file; any value can be\n# changed on the command line: --set paths=200.\n",
                  text)
    text = re.sub(r"(?m)^name = .*$", f'name = "{name}"', text)
    text = re.sub(r"(?m)^deal = .*$", 'deal = "deal.toml"           # clo-gen deal check deal.toml '
                  "explains it", text)
    return re.sub(r"(?ms)^\[tape\.synthetic\].*?\n\n", '[tape]\nfile = "tape.csv"            # '
                  "columns: README.md\n\n", text)
