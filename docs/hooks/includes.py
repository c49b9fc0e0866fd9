"""`<!-- include FILE.md -->` and `<!-- include FILE.md: Heading -->` on a line of their own.

They put a file of the project's top folder, or one section of it, in their place, so that README,
CHANGELOG and BENCHMARKS are written once.
"""

import pathlib
import re

from mkdocs.exceptions import PluginError

_INCLUDE = re.compile(r"(?m)^<!-- include ([\w.]+\.md)(?:: (.+?))? -->$")


def on_page_markdown(text, page, config, **_):
    root = pathlib.Path(config.config_file_path).parent
    up = "../" * page.file.src_uri.count("/")

    def included(found):
        body = (root / found[1]).read_text()
        body = _section(body, found[2], found[1]) if found[2] else body.split("\n", 1)[1]
        body = re.sub(r"\[docs/(\w+)\.md\]", lambda name: f"[{name[1].replace('_', ' ')}]", body)
        return re.sub(r"\]\((?:docs/)?(?!http|#)([\w/.#-]+)\)",
                      lambda link: f"]({up}{link[1]})", body).replace("BENCHMARKS.md)",
                                                                      "benchmarks.md)")

    return _INCLUDE.sub(included, text)


def _section(body, heading, name):
    parts = re.split(r"(?m)^## (.+)\n", body)
    for title, section in zip(parts[1::2], parts[2::2], strict=True):
        if title == heading:
            return section
    raise PluginError(f"{name} has no section {heading!r}")
