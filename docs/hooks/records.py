"""`<!-- records clo_gen/records.py -->` becomes a table of fields for every class of that file.

What a field holds stands in the comment beside it, which mkdocstrings does not read.
"""

import ast
import inspect
import pathlib
import re

_PLACE = re.compile(r"(?m)^<!-- records (\S+\.py) -->$")


def on_page_markdown(text, config, **_):
    root = pathlib.Path(config.config_file_path).parent
    return _PLACE.sub(lambda found: tables((root / found[1]).read_text()), text)


def tables(source):
    """Markdown of every class: its docstring and a row a field."""
    lines = source.splitlines()
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return "\n\n".join(_table(node, lines) for node in classes)


def _table(node, lines):
    rows = [f"| `{field.target.id}` | {_comment(field, lines)} |" for field in node.body
            if isinstance(field, ast.AnnAssign)]
    about = inspect.cleandoc(ast.get_docstring(node) or "")
    return "\n".join([f"### {node.name}\n\n{about}\n\n| field | |\n|---|---|", *rows])


def _comment(field, lines):
    """The comment after a field and its further lines."""
    parts, row = [lines[field.end_lineno - 1].partition("#")[2]], field.end_lineno
    while row < len(lines) and lines[row].strip().startswith("#"):
        parts.append(lines[row].strip().lstrip("#"))
        row += 1
    return " ".join(" ".join(parts).split()).replace("|", "\\|")
