"""One look and feel: help, --json, --quiet, exit codes, of every command."""

import json
import re

import pytest
import typer
from typer.testing import CliRunner

from clo_gen.cli import app
from clo_gen.io.tables import config_path

DEAL = config_path("deals/us_bsl.toml")


def leaves(command, prefix=()):
    """(words, click command) of every command."""
    if hasattr(command, "commands"):
        for name, sub in command.commands.items():
            yield from leaves(sub, (*prefix, name))
    else:
        yield prefix, command


COMMANDS = dict(leaves(typer.main.get_command(app)))


def cli(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_examples_that_parse_and_the_common_options(words):
    command = COMMANDS[words]
    options = {o for p in command.params for o in p.opts}
    assert {"--json", "--quiet", "--debug"} <= options
    # Every option says what it is for.
    assert all(getattr(p, "help", None) for p in command.params if p.name != "help")
    text = command.help.replace("\\\n", " ")
    examples = re.findall(r"(?m)^\s*(clo-gen .*)$", text)
    assert examples, words
    for line in examples:
        run, *rest = line.replace("'", "").replace('"', "").split()
        target = next(w for w in sorted(COMMANDS, key=len, reverse=True)
                      if tuple(rest[: len(w)]) == w)
        COMMANDS[target].make_context("clo-gen", rest[len(target):], resilient_parsing=False)


def test_json_is_one_object_and_nothing_else():
    said = cli("deal", "check", DEAL, "--json")
    assert said.exit_code == 0
    assert json.loads(said.stdout)["explanation"][0]


def test_quiet_says_only_what_was_written(tmp_path):
    out = tmp_path / "my-deal"
    assert cli("init", out, "--quiet").stdout.strip() == str(out)
    assert (out / "deal.toml").exists()


def test_version_is_the_package_s():
    import clo_gen

    assert cli("--version").stdout.strip() == f"clo_gen {clo_gen.__version__}"


def test_json_and_quiet_together_are_refused():
    assert cli("deal", "check", DEAL, "--json", "--quiet").exit_code == 2


def test_bad_input_is_a_message_and_with_debug_a_traceback():
    said = cli("deal", "check", "nowhere.toml")
    assert said.exit_code == 2 and "no such file" in said.stderr
    assert "Traceback" not in said.stderr
    assert cli("deal", "check", "nowhere.toml", "--debug").exit_code == 1


def test_simulate_wants_a_trained_run(tmp_path):
    said = cli("simulate", tmp_path)
    assert said.exit_code == 2 and "no trained level" in said.stderr


def test_options_are_overrides_of_the_config(tmp_path):
    from clo_gen.cli.app import overrides

    tape = tmp_path / "it's.csv"
    given = overrides(["seed=3"], tape=tape, deal=DEAL, seed=4, paths=None)
    assert given[0] == "seed=3" and given[-1] == "seed=4" and "paths" not in str(given)
