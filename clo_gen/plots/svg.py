"""Figures as SVG for a page: text as text, colours that follow the page, parts that can be hidden.

An artist with the gid of `mark(i)` becomes a group of class "s s<i>"; INK and SOFT, black and dark
greys become the page's own colours.
"""

import dataclasses
import io
import re
from typing import Any

import matplotlib
from matplotlib.figure import Figure

INK, SOFT = "#1c2733", "#5d6b7b"
_COLORS = {INK: "var(--ink)", SOFT: "var(--soft)", "#ffffff": "var(--bg)"} | {
    grey: "var(--ink)" for grey in ("#000000", "#262626", "#333333", "#4d4d4d")} | {
    grey: "var(--soft)" for grey in ("#595959", "#666666", "#8c8c8c")}
STYLE = {
    "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": SOFT, "axes.labelcolor": INK, "xtick.color": SOFT, "ytick.color": SOFT,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "text.color": INK, "axes.titlecolor": INK,
    "axes.titlesize": 10, "axes.labelsize": 8.5, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5, "legend.frameon": False, "axes.titlelocation": "left",
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
}


@dataclasses.dataclass(frozen=True)
class Line:
    """Values that the page shows for a place on the x axis."""

    name: str
    values: list  # [n]
    scenario: int | None = None
    low: list | None = None
    high: list | None = None


@dataclasses.dataclass(frozen=True)
class Hover:
    """What the page says of one pair of axes: `x` [n] in axis units, `labels` [n], lines."""

    axes: object
    x: list
    labels: list
    lines: list
    unit: str = "%"


@dataclasses.dataclass(frozen=True)
class Chart:
    """A drawn picture: SVG text for a page, and what to show under the pointer (JSON data)."""

    key: str
    caption: str
    svg: str
    hover: list


def styled():
    """Context in which figures have the page's style."""
    return matplotlib.rc_context(STYLE)


def mark(i):
    """gid of what belongs to scenario number i."""
    return f"scenario-{i}"


def new_figure(width=4.4, height=2.7, *, fits=False):
    """A figure with fixed margins, in inches; `fits`: as long labels need them, twice as slow."""
    if fits:
        return Figure(figsize=(width, height), layout="constrained")
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(left=0.55 / width, right=1 - 0.12 / width, bottom=0.45 / height,
                           top=1 - 0.28 / height, hspace=0.12)
    return figure


def chart(key, caption, figure, hovers=(), folder=None):
    """Chart of a figure; with a `folder` also <key>.svg and <key>.png there."""
    with matplotlib.rc_context({"svg.hashsalt": key}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    if folder is not None:
        (folder / f"{key}.svg").write_text(text, encoding="utf-8")
        figure.set_layout_engine("none")  # it is laid out already
        figure.savefig(folder / f"{key}.png", dpi=110, facecolor="white",
                       metadata={"Software": None})
    return Chart(key, caption, _inline(text, caption), [_box(h, figure) for h in hovers])


def _inline(text, caption):
    """The <svg> element alone, without ids that several figures share, and with the page's
    colours."""
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'id="scenario-(\d+)"', r'class="s s\1"', text)
    used = set(re.findall(r'(?:href="|url\()#([\w.-]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", text)
    for color, own in _COLORS.items():
        text = text.replace(color, own)
    text = text.replace("'DejaVu Sans', 'Bitstream Vera Sans'", "system-ui").replace(
        "'DejaVu Sans'", "system-ui")
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert found is not None
    width, height = found.groups()
    head = (f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{_escaped(caption)}" '
            'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">')
    text = head + text[text.index(">") + 1:]
    return re.sub(r"\n\s*", "\n", text)


def _escaped(text):
    return (text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            .replace('"', "&quot;"))


def _box(h: Hover, figure):
    width, height = figure.get_size_inches() * 72
    axes: Any = h.axes
    box = axes.get_position()
    return {"box": [box.x0 * width, (1 - box.y1) * height, box.width * width, box.height * height],
            "xlim": list(axes.get_xlim()), "x": h.x, "labels": h.labels, "unit": h.unit,
            "lines": [{k: v for k, v in dataclasses.asdict(line).items() if v is not None}
                      for line in h.lines]}
