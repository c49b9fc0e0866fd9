"""Complaints about a user's input: collected, then raised all at once."""

import difflib
from collections.abc import Callable, Collection, Iterable
from typing import Any

_LONGEST = 2_000  # characters of a line of a message


class InputError(ValueError):
    """Bad input; the message lists every problem found, one a line.

    What the data in it would do to a terminal (colours, moves of the cursor) is written out.
    """

    def __init__(self, message=""):
        super().__init__("\n".join(_one_line(line) for line in str(message).split("\n")))


def _one_line(text):
    half = _LONGEST // 2  # both ends say something: where, and what is wanted
    text = text if len(text) <= _LONGEST else f"{text[:half]}...{text[-half:]}"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Interrupted(KeyboardInterrupt):
    """Work was stopped; what is finished is on disk. The message says how to go on."""


class WriteError(OSError):
    """A result could not be written, as on a full disk; what is finished is on disk. The message
    says how to go on."""


class Problems:
    """Collects problems of one `source` (a file or a part of one)."""

    shown = 20

    def __init__(self, source):
        self.source = str(source)
        self.found = []

    def add(self, place: str, value: Any, want: str) -> None:
        """`place` names the row or key, `value` what stands there, `want` what is accepted."""
        text = repr(value) if isinstance(value, str) else str(value)
        text = text if len(text) <= 80 else text[:77] + "..."
        self.found.append(f"{place}: {text}; want {want}")

    def say(self, sentence: str) -> None:
        self.found.append(sentence)

    def unknown(self, names: Iterable[str], known: Collection[str], *, place: str = "",
                what: str = "key") -> None:
        """Complains of each of the `names` at a `place` ("notes[1]."): what it may have been meant
        to be, and, once, all that are `known` there."""
        self.found += unknown_names(names, known, place=place, what=what)

    def raise_if_any(self) -> None:
        if not self.found:
            return
        rest = len(self.found) - self.shown
        lines = [_one_line(line) for line in self.found[: self.shown]]
        lines += [f"... and {rest} more"] if rest > 0 else []
        count = "1 problem" if len(self.found) == 1 else f"{len(self.found)} problems"
        head = f"{_one_line(self.source)}: {count}"
        raise InputError("\n".join([head, *(f"  {line}" for line in lines)]))


def unknown_names(names: Iterable[str], known: Collection[str], *, place: str = "",
                  what: str = "key") -> list[str]:
    """The complaints of Problems.unknown."""
    out = []
    for n, name in enumerate(names):
        said = f"{place}{name}: unknown {what}"
        # Only for those that are shown: a hostile file has a hundred thousand.
        near = difflib.get_close_matches(str(name), known, 1, 0.75) if n < Problems.shown else []
        said += f", perhaps {near[0]}" if near else ""
        out.append(said if n else f"{said}; known {what}s here: {', '.join(known)}")
    return out


def collect_complaints(calls: Iterable[Callable]) -> list[Any]:
    """What each of the calls returns. Raises one InputError with the complaints of all."""
    results, complaints = [], []
    for call in calls:
        try:
            results.append(call())
        except InputError as error:
            complaints.append(str(error))
    if complaints:
        raise InputError("\n".join(complaints))
    return results
