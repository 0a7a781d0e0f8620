"""Draw a chart of a report with matplotlib, for an image file and for the page.

The same result gives the same bytes: no date, no version, ids from a fixed salt, and matplotlib's own font.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from pilotlight.bench.report.charts.svg import Drawing, inline
from pilotlight.bench.report.charts.theme import DARK, LIGHT, MARKS, Palette
from pilotlight.bench.report.markup import Html, printable

__all__ = ["Chart", "Pen", "as_png", "as_svg", "shortened"]

# Inches. At 96 pixels per inch the wide chart fits a README's column; the narrow one is for a phone.
_WIDE_IN = 9.2
_NARROW_IN = 3.7
_PNG_DPI = 200
_PNG_MARGIN_IN = 0.15
_STYLE = {
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a name may contain dollar signs
    "svg.fonttype": "none",
    "svg.hashsalt": "pilotlight",
    "path.simplify": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "hatch.linewidth": 0.8,
}


@dataclass(slots=True)
class Pen:
    """The drawing context of a chart.

    Attributes:
        palette: a color for each role.
        narrow: whether the chart is for a phone.
        tips: the tooltips of artists, by their ``gid``.
    """

    palette: Palette
    narrow: bool = False
    tips: dict[str, str] = field(default_factory=dict)

    @property
    def width_in(self) -> float:
        return _NARROW_IN if self.narrow else _WIDE_IN

    @property
    def size(self) -> float:
        """The size of normal text, in points."""
        return 8.8 if self.narrow else 9.0

    def figure(self, height_in: float) -> Figure:
        return Figure(figsize=(self.width_in, height_in), facecolor=self.palette["paper"])

    def axes(
        self,
        figure: Figure,
        left: float,
        top: float,
        width: float,
        height: float,
        *,
        grid: Literal["x", "y", "both"] = "x",
    ) -> Axes:
        """Add axes at a place in inches from the left and the top, with a grid across ``x``, ``y`` or ``both``."""
        wide, high = figure.get_size_inches()
        axes = figure.add_axes((left / wide, 1 - (top + height) / high, width / wide, height / high))
        axes.set_facecolor("none")
        axes.tick_params(colors=self.palette["muted"], labelsize=self.size - 1, pad=4)
        axes.spines["bottom"].set_color(self.palette["border"])
        axes.grid(axis=grid, color=self.palette["grid"], linewidth=0.8)
        return axes

    def few_ticks(self, axes: Axes) -> None:
        """Set round numbers on the horizontal axis, as many as fit."""
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5 if self.narrow else 8, steps=[1, 2, 5, 10]))

    def text(self, axes: Axes, x: float, y: float, text: str, role: str = "ink", **given: Any) -> None:
        """Add text at a place in inches from the left and the top of the whole chart."""
        figure = axes.get_figure(root=True)
        assert figure is not None  # the axes of `axes` belong to a figure
        wide, high = figure.get_size_inches()
        style = {"fontsize": self.size, "va": "center", **given}
        figure.text(x / wide, 1 - y / high, printable(text), color=self.palette[role], **style)

    def dots(self, axes: Axes, points: Sequence[tuple[float, float]], role: str) -> None:
        """Draw many small dots as round ends of lines without length, in a fifth of the bytes of markers."""
        path = [(x + away, y) for x, y in points for away in (0.0, 1e-3, float("nan"))]
        axes.plot(
            *zip(*path, strict=True),
            color=self.palette[role],
            alpha=0.65,
            linewidth=2.8,
            solid_capstyle="round",
            clip_on=False,
        )

    def tip(self, artist: Any, text: str) -> None:
        """Add a tooltip to an artist on the page."""
        gid = f"tip{len(self.tips)}"
        artist.set_gid(gid)
        self.tips[gid] = text

    def legend(self, figure: Figure, top: float, entries: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Draw one line of samples with their names, from the left; ``entries`` are names with styles of ``Line2D``."""
        high = figure.get_size_inches()[1]
        handles = [Line2D([], [], label=printable(name), **style) for name, style in entries]
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0.0, 1 - top / high),
            ncols=2 if self.narrow else len(entries),
            frameon=False,
            fontsize=self.size,
            labelcolor=self.palette["ink"],
            handlelength=1.6,
            handletextpad=0.5,
            columnspacing=1.4,
            borderaxespad=0,
            borderpad=0,
        )


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart to be drawn.

    Attributes:
        name: the name of its file and the prefix of its ids: letters and hyphens.
        title: the title in a few words.
        description: a description for users who cannot see the chart.
        draw: a function that draws it with a pen onto a new figure.
    """

    name: str
    title: str
    description: str
    draw: Callable[[Pen], Figure]


def as_png(chart: Chart, *, dark: bool) -> bytes:
    """Return the chart as an image file with its own background."""
    pen = Pen(DARK if dark else LIGHT)
    file = io.BytesIO()
    with _styled():
        figure = chart.draw(pen)
        wide, high = figure.get_size_inches()
        margin = _PNG_MARGIN_IN
        box = Bbox([(-margin, -margin), (wide + margin, high + margin)])
        figure.savefig(file, format="png", dpi=_PNG_DPI, bbox_inches=box, metadata={"Software": None})
    return file.getvalue()


def as_svg(chart: Chart, *, narrow: bool) -> Html:
    """Return the chart as a transparent element of a page that defines ``theme.styles``."""
    pen = Pen(MARKS, narrow=narrow)
    file = io.StringIO()
    with _styled():
        chart.draw(pen).savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date")))
    name = f"{chart.name}-{'narrow' if narrow else 'wide'}"
    return inline(Drawing(file.getvalue(), name, chart.title, chart.description, pen.tips))


def shortened(text: str, most: int) -> str:
    """Shorten text with an ellipsis in its middle, since both ends distinguish names."""
    text = " ".join(printable(text).split())
    if len(text) <= most:
        return text
    tail = (most - 1) // 3
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


@contextmanager
def _styled() -> Iterator[None]:
    """Apply the style of the charts on top of matplotlib's defaults, independent of the user's settings."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # A name may contain characters that the font lacks: the file shows boxes, a browser uses other fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
