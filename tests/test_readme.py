"""The README tells the truth about where things are."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_place_in_the_where_is_table_exists():
    places = re.findall(r"`([\w/]+\.(?:py|toml))(?:::(\w+))?`", README)
    assert len(places) > 15
    for path, name in places:
        file = next((f for f in (ROOT / path, ROOT / "clo_gen" / path) if f.exists()), None)
        assert file is not None, path
        if name:
            names = {n.name for n in ast.walk(ast.parse(file.read_text()))
                     if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            names |= {t.id for n in ast.walk(ast.parse(file.read_text()))
                      if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
            assert name in names, f"{path}::{name}"


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) >= 4
    for link in links:
        assert (ROOT / link).exists(), link


def test_top_level_is_as_promised():
    wanted = {"pyproject.toml", "README.md", "clo_gen", "experiments", "tests", "notebooks",
              "configs"}
    assert wanted <= {p.name for p in ROOT.iterdir()}
