"""Examples (`>>>`) in docstrings are shown as code, not as nested quotations."""

import re

from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

_START = re.compile(r"^>>> ")


class _Fence(Preprocessor):
    def run(self, lines):
        out, inside = [], False
        for line in lines:
            if not inside and _START.match(line):
                out += ["", "```pycon"]
                inside = True
            elif inside and not line.strip():
                out += ["```", ""]
                inside = False
            out.append(line)
        return [*out, "```"] if inside else out


class _Doctests(Extension):
    def extendMarkdown(self, md):  # noqa: N802 (the name is markdown's)
        md.preprocessors.register(_Fence(md), "doctests", 40)


def on_config(config):
    config.markdown_extensions.append(_Doctests())
    return config
