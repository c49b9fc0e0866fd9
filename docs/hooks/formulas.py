"""Formulas ($...$) become MathML when the site is built: pages need no script to show them."""

import html
import re

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[\(\[](.*?)\\[\)\]]</\1>', re.DOTALL)


def on_page_content(text, page, **_):
    def mathml(found):
        block = found[1] == "div"
        out = convert(html.unescape(found[2]).strip(), display="block" if block else "inline")
        if "\\" in out:  # a command that the converter does not know comes back as text
            raise PluginError(f"{page.file.src_path}: cannot show the formula {found[2]!r}")
        # On a phone a long formula scrolls by itself.
        return f'<div style="overflow-x: auto">{out}</div>' if block else out

    return _FORMULA.sub(mathml, text)
