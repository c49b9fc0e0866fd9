"""The documentation tells the truth: commands parse, code compiles and runs, links lead on."""

import ast
import importlib
import os
import pathlib
import re
import shlex
import subprocess
import sys
import textwrap
from html.parser import HTMLParser

import pytest
import typer

from clo_gen.cli import app

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = typer.main.get_command(app)
USAGE = typer.BadParameter.__base__  # typer brings a click of its own, or not, by version


def name_of(page):
    return str(page.relative_to(ROOT))


def fences(page, *languages):
    """Texts of the fenced code blocks of these languages, without indentation."""
    found = re.findall(r"(?ms)^( *)```(\w+)\n(.*?)^\1```", page.read_text())
    return [textwrap.dedent(body) for _, language, body in found if language in languages]


def shell_lines(page):
    """clo-gen commands of shell blocks and of indented blocks, comments and variables taken out."""
    text = "\n".join(fences(page, "sh", "bash"))
    indented = r"(?m)^ {4}(clo-gen .*(?:\n {8,}\S.*)*)$"
    text += "\n" + "\n".join(re.findall(indented, page.read_text()))
    text = re.sub(r"\\?\n {8,}", " ", text)
    for line in text.splitlines():
        for part in re.split(r"&&|;", line):
            if (at := re.match(r"(?:\S*\b(?:srun) )?\s*clo-gen (.*)", part.strip())):
                yield re.sub(r"\$\w+", "", at[1])


def inline_commands(page):
    return [re.sub(r"\s+", " ", c) for c in re.findall(r"`clo-gen ((?:[a-z-]|-h)[^`]*)`",
                                                       page.read_text())]


def problem(line, whole):
    """What is wrong with the words after `clo-gen`; None if nothing is.

    [optional] parts are read without brackets, and of a|b the first. `whole`: arguments that are
    required have to be there too.
    """
    line = re.sub(r"(\w)\|\w+", r"\1", re.sub(r"[\[\]]", "", line)) if "[" in line and "'" not in \
        line else line
    words, command, context = shlex.split(line, comments=True), COMMAND, None
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    context = typer.Context(command, info_name="clo-gen")
    try:
        if whole and not hasattr(command, "commands"):
            command.make_context("clo-gen", words)
        else:
            command.make_parser(context).parse_args(words)
    except typer.Exit:  # --help
        return None
    except USAGE as error:
        return error.format_message()
    return None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_shown_parses(page):
    wrong = [(line, problem(line, True)) for line in shell_lines(page) if problem(line, True)]
    wrong += [(line, problem(line, False)) for line in inline_commands(page)
              if line != "COMMAND --help" and problem(line, False)]
    assert not wrong


def test_commands_are_found_and_judged():
    found = {name_of(p): [*shell_lines(p), *inline_commands(p)] for p in PAGES}
    assert sum(map(len, found.values())) > 80 and len(found["docs/start.md"]) > 8
    assert any("--pilot" in line and "--defence" in line for line in found["docs/tail.md"])
    assert problem("run --pahts 3", True) and problem("rnu", False)
    assert problem("evaluate", True) and not problem("evaluate", False)


@pytest.mark.parametrize("page", [p for p in PAGES if fences(p, "python")], ids=name_of)
def test_python_compiles_and_its_imports_exist(page):
    """Blocks marked `python` can be run; fragments are marked `py`."""
    for block in fences(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("clo_gen"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (
                    node.value.id in ("cg", "clo_gen")):
                assert hasattr(importlib.import_module("clo_gen"), node.attr), node.attr


class Links(HTMLParser):
    """What a page refers to, what it loads by itself, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[k] for k in ("id", "name") if given.get(k)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag != "a":
            self.loads += [given[k] for k in ("src", "href", "data", "srcset") if given.get(k)]
        if "mermaid" in (given.get("class") or ""):
            self.loads.append("mermaid, which the theme would fetch")


def run(*words, cwd, **environment):
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)} | environment)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.mark.slow
def test_the_site_builds_reads_nothing_from_the_network_and_has_no_broken_link(tmp_path):
    built = run("-m", "mkdocs", "build", "--strict", "-d", str(tmp_path), cwd=ROOT,
                NO_MKDOCS_2_WARNING="1")
    assert "WARNING" not in built.stderr
    pages = {p.resolve(): Links(p.read_text()) for p in tmp_path.rglob("*.html")}
    assert len(pages) > 45
    formulas = (tmp_path / "concepts" / "macro.html").read_text()
    assert "<math" in formulas and "arithmatex" not in formulas and "$$" not in formulas
    assert "clo-gen scenario condition" in (tmp_path / "reference" / "commands.html").read_text()
    for page, found in pages.items():
        outside = [x for x in found.loads if re.match(r"(https?:)?//|mermaid", x)]
        assert not outside, (page.name, outside)
        if page.name == "404.html":
            continue
        for link in [*found.links, *found.loads]:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), (page.name, link)
            if anchor and target in pages:
                assert anchor in pages[target].anchors, (page.name, link)
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text()), sheet


SMALL = {"run": ["--paths", "8"],
         "sensitivity": ["--paths", "32", "--obligors", "1", "--bars", "1"]}


@pytest.mark.slow
def test_the_ten_minute_start_runs_as_written(tmp_path):
    """Every command of the page, in its order and folder, with fewer paths."""
    install, *blocks = fences(ROOT / "docs" / "start.md", "sh")
    assert "pip install" in install
    folder, ran = tmp_path, 0
    for line in "".join(blocks).splitlines():
        words = shlex.split(line)
        if words[0] == "cd":
            folder = folder / words[1]
            continue
        assert words[0] == "clo-gen"
        run("-m", "clo_gen", *words[1:], *SMALL.get(words[1], ()), cwd=folder)
        ran += 1
    assert ran >= 7
    assert (tmp_path / "runs" / "quickstart" / "report.html").exists()
    assert (folder / "runs" / "my-deal-sensitivity").is_dir()


@pytest.mark.slow
def test_the_python_page_runs_as_written(tmp_path):
    code = "\n".join(fences(ROOT / "docs" / "howto" / "python.md", "python"))
    (tmp_path / "page.py").write_text(code + "\nassert paths.conservation_error.max() < 1e-9\n"
                                      "assert changed.loss.mean() < paths.loss.mean()\n")
    run("page.py", cwd=tmp_path)
