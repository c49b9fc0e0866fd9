"""Numbers and lists of a deal in words."""

import textwrap
from typing import Any

WIDTH = 98


def money(amount: float) -> str:
    """An amount in the deal's currency: millions from a million up."""
    return f"{amount / 1e6:,.1f}m" if abs(amount) >= 1e6 else f"{amount:,.0f}"


def percent(share: float, digits: int = 2) -> str:
    """A share in percent, without zeros that say nothing: 7.5 %, 107 %."""
    text = f"{100 * share:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"


def listed(names: list[str], last: str = "and") -> str:
    """A, B and C."""
    names = list(names)
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + f" {last} {names[-1]}"


def wrapped(text: str, first: str = "", rest: str | None = None) -> str:
    """`text` in lines of WIDTH: the first one starts with `first`, the others with `rest`."""
    rest = " " * len(first) if rest is None else rest
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest,
                         break_long_words=False, break_on_hyphens=False)


def table(rows: Any, left: tuple[int, ...]) -> list[str]:
    """Lines of `rows` (texts, header first) in columns; those numbered in `left` are set left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(w) if i in left else cell.rjust(w)
                             for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip()
            for row in rows]
