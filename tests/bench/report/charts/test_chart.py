"""One drawing as a file and as a part of a page."""

import io
import re
import struct

import pytest
from matplotlib.image import imread

from pilotlight.bench.report.charts.chart import Chart, as_png, as_svg, shortened
from pilotlight.bench.report.charts.theme import DARK, LIGHT, MARKS
from tests.bench.report.made import WICKED
from tests.bench.report.parsed import parsed


def draw(pen):
    figure = pen.figure(1.0)
    axes = pen.axes(figure, 0.5, 0.1, 2.0, 0.6)
    (line,) = axes.plot([0, 1], [0, 1], "o", color=pen.palette["series-1"])
    pen.tip(line, WICKED)
    pen.dots(axes, [(0, 0.25), (1, 0.75)], "good")
    pen.text(axes, 0, 0.2, WICKED, "muted")
    pen.legend(figure, 0.0, [(WICKED, {"color": pen.palette["bad"]}), ("_hidden", {"color": pen.palette["warn"]})])
    return figure


CHART = Chart("example", f"Title {WICKED}", f"Description {WICKED}", draw)


def rgb(color):
    return tuple(int(color[place : place + 2], 16) for place in (1, 3, 5))


@pytest.mark.parametrize("dark", [False, True])
def test_a_file_has_the_colors_of_its_palette_and_always_the_same_bytes(dark):
    content = as_png(CHART, dark=dark)
    assert content == as_png(CHART, dark=dark)
    width, height = struct.unpack(">II", content[16:24])
    assert (width, height) == (1900, 260)  # 9.2 by 1 inch with a margin, 200 dots an inch
    pixels = imread(io.BytesIO(content))
    corner = tuple(round(float(part) * 255) for part in pixels[0, 0, :3])
    assert corner == rgb((DARK if dark else LIGHT)["paper"])


@pytest.mark.parametrize("narrow", [False, True])
def test_a_part_of_a_page_has_words_variables_and_nothing_from_outside(narrow):
    text = as_svg(CHART, narrow=narrow)
    assert text == as_svg(CHART, narrow=narrow)
    (svg,) = parsed(text).children
    name = f"example-{'narrow' if narrow else 'wide'}"
    assert svg.attributes["role"] == "img"
    assert svg.attributes["class"] == name.rpartition("-")[2]
    assert svg.attributes["aria-labelledby"] == f"{name}-title {name}-description"
    shown = " ".join(WICKED.replace("\x1b", "�").split())
    assert svg.id(f"{name}-title").text == f"Title {shown}"
    assert svg.id(f"{name}-description").text == f"Description {shown}"
    assert [one.text for one in svg.all("title")].count(shown) == 1, "the tip"
    assert "_hidden" in svg.text
    assert not svg.all("script")
    assert not svg.all("style")
    assert "://" not in text
    assert not any(mark in text for mark in MARKS.values())
    for role in ("series-1", "good", "muted", "bad"):
        assert f"var(--{role})" in text


def test_ids_are_the_drawings_own_and_every_reference_has_its_target():
    both = as_svg(CHART, narrow=False) + as_svg(CHART, narrow=True)
    root = parsed(both)
    ids = [one.attributes["id"] for one in root.everything() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    wanted = {one.attributes["href"].removeprefix("#") for one in root.everything() if "href" in one.attributes}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", both))
    assert wanted
    assert wanted <= set(ids)


def test_dots_lie_where_they_belong():
    text = as_svg(CHART, narrow=False)
    (path,) = re.findall(r'<path d="([^"]+)"[^>]*stroke: var\(--good\)', text)
    starts = [tuple(map(float, point)) for point in re.findall(r"M (\S+) (\S+)", path)]
    # In points from the left and the top: axes from 0.5 to 2.5 and 0.1 to 0.7 inches, 5 % wider than the data.
    assert [x for x, _ in starts] == pytest.approx([72 * (0.5 + 2 * 0.05 / 1.1), 72 * (0.5 + 2 * 1.05 / 1.1)], abs=0.2)
    assert starts[0][1] > starts[1][1]


def test_long_names_keep_both_ends():
    assert shortened("short", 10) == "short"
    assert shortened("a-very-long-name-2", 10) == "a-very…e-2"
    assert shortened(" two\nlines\x1b ", 30) == "two lines�"
