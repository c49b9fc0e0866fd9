"""Names that come from data, drawn as they are, and what follows for labels of axes."""

import functools
import warnings

import matplotlib
from matplotlib.ticker import NullFormatter


def literal(write):
    """`write`, which draws a picture, so that a name in it is text: dollar signs begin no formula,
    and a letter that the font lacks is a box without a warning."""

    @functools.wraps(write)
    def drawn(*args, **kwargs):
        with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from font")
            return write(*args, **kwargs)

    return drawn


def plain_numbers(axis):
    """Labels of a logarithmic axis as plain numbers: its own are formulas, which stay text under
    `literal`."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def short(text, most=24):
    """`text`, or its beginning where it has more than `most` characters."""
    return text if len(text) <= most else text[: most - 3] + "..."
