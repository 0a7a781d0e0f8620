"""The page: everything in it, nothing out of it, and nothing that breaks it."""

import re

import pytest

from pilotlight.bench.report.pages.page import default_title, page
from pilotlight.bench.report.write import charts_of
from tests.bench.cold.cold_results import ENVIRONMENT, failure, info
from tests.bench.load import load_results
from tests.bench.report import made
from tests.bench.report.parsed import parsed
from tests.bench.warm import warm_results


def made_of(sources, title="A title"):
    return page(sources, charts_of(sources), title)


def shown(sources):
    """The page's body."""
    return parsed(made_of(sources)).all("body")[0]


def part(body, name):
    return body.id(name)


@pytest.fixture(scope="module")
def whole():
    return made_of(made.everything())


def test_it_asks_for_nothing_and_runs_nothing(whole):
    root = parsed(whole)
    assert "://" not in whole
    assert "@import" not in whole
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", whole))
    for one in root.everything():
        assert one.name not in ("script", "link", "img", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") or name == "src" for name in one.attributes)
        assert one.attributes.get("href", "#").startswith("#")
    (policy,) = (one.attributes["content"] for one in root.all("meta") if "http-equiv" in one.attributes)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_links_and_labels_lead_somewhere(whole):
    root = parsed(whole)
    ids = [one.attributes["id"] for one in root.everything() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    wanted = {one.attributes["href"][1:] for one in root.everything() if one.attributes.get("href", "#") != "#"}
    for one in root.everything():
        wanted |= set(one.attributes.get("aria-labelledby", "").split())
    assert wanted <= set(ids)
    assert len(root.all("h1")) == 1
    assert root.all("html")[0].attributes["lang"] == "en"
    assert [one.text for one in root.all("nav")[0].all("a")] == [
        "Cold start",
        "Warm-up",
        "Load",
        "Measured on",
        "Calibration",
    ]


def test_every_picture_says_what_it_shows_and_comes_for_wide_and_narrow_screens(whole):
    root = parsed(whole)
    drawings = root.all("svg")
    assert len(drawings) == 2 * len(root.all("figure")) == 2 * 7
    for svg in drawings:
        assert svg.attributes["role"] == "img"
        assert all(svg.id(label).text for label in svg.attributes["aria-labelledby"].split())
    assert [svg.attributes["class"] for svg in drawings] == ["wide", "narrow"] * 7


def test_every_color_is_a_variable_that_is_declared(whole):
    declared = set(re.findall(r"^  (--[\w-]+): light-dark\(", whole, re.MULTILINE))
    assert set(re.findall(r"var\((--[\w-]+)\)", whole)) <= declared
    outside = whole[whole.index("</style>") :]
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", outside)


def test_colors_are_chosen_with_the_keyboard_and_without_a_script(whole):
    chooser = parsed(whole).all("fieldset")[0]
    assert chooser.all("legend")[0].text == "Colors"
    choices = {one.attributes["id"]: "checked" in one.attributes for one in chooser.all("input")}
    assert choices == {"scheme-auto": True, "scheme-light": False, "scheme-dark": False}
    for choice in ("light", "dark"):
        assert f":root:has(#scheme-{choice}:checked) {{ color-scheme: {choice}; }}" in whole


def test_wide_tables_scroll_with_the_keyboard(whole):
    root = parsed(whole)
    assert root.all("table")
    for table in root.all("table"):
        assert table.parent.attributes["tabindex"] == "0"
        assert table.parent.attributes["aria-label"] == table.all("caption")[0].text
        heads = [one.attributes["class"] for one in table.all("thead")[0].all("th")]
        for row in table.all("tbody")[0].all("tr"):
            assert [cell.attributes["class"] for cell in row.children] == heads


def test_the_verdict_comes_first_and_then_the_others(whole):
    main = parsed(whole).all("main")[0]
    assert [one.text for one in main.all("p")[:2]] == [
        "ours starts 4.44 times as fast as plain.95% interval 4.32 to 4.57",
        "In the steady state, ours predicts 4.17 times as fast as plain (95% interval 4.16 to 4.18).",
    ]
    assert main.all("h1")[0].text == "A title"


def test_figures_of_cold_starts(whole):
    cold = part(parsed(whole), "cold")
    cards = [one.text for one in cold.all("div") if one.attributes.get("class") == "card"]
    assert cards[0].startswith(
        "plain4.140 smedian of 8; 95% interval 4.037 s to 4.243 sready after 3.940 s, first output"
    )
    starts = cold.all("details")[1]
    assert starts.all("summary")[0].text == "Every start: 16"
    assert [cell.text for cell in starts.all("tbody")[0].all("tr")[0].children] == [
        "plain", "1", "succeeded", "4.000 s", "3.800 s", "3.900 s", "400.0 MB", "3.0 MB", "7", "1.50 s", "–", "0",  # noqa: RUF001
        "0.10", "0.0%",
    ]  # fmt: skip


def test_figures_of_warm_up_and_its_raw_values(whole):
    warm = part(parsed(whole), "warm")
    rows = [[cell.text for cell in row.children] for row in warm.all("table")[0].all("tr")]
    assert rows[1][:5] == ["plain", "1", "warm-up", "120", "25"]
    assert rows[6][:5] == ["ours", "1", "flat", "120", "0"]
    times = made.warm().processes[0].times_s
    assert " ".join(f"{time_s:.6f}" for time_s in times) in warm.all("details")[0].text


def test_figures_of_load(whole):
    load = part(parsed(whole), "load")
    titles = [one.text for one in load.all("caption")]
    assert titles[:3] == ["plain, step by step", "Quantiles", "The generator's actual and intended behavior"]
    table = next(one for one in load.all("table") if one.all("caption")[0].text == "open, step by step")
    rows = [[cell.text for cell in row.children] for row in table.all("tr")]
    assert rows[0][:6] == ["load", "verdict", "requests", "offered", "served", "within 250ms"]
    assert [row[:4] for row in rows[1:]] == [
        ["4 requests/s", "keeps up", "80", "4/s"],
        ["16 requests/s", "keeps up", "320", "16/s"],
        ["30 requests/s", "overloaded", "600", "30/s"],
    ]


def test_machine_settings_projects_and_calibration(whole):
    root = parsed(whole)
    facts = part(root, "facts").text
    for text in (
        "processorModel T",
        "torch2.13.0",
        "revisionabc",
        '{"prompt": "Hello"}',
        "a.safetensors",
        "page cache",
    ):
        assert text in facts
    assert facts.count("processorModel T") == 1, "what all share is there once"
    calibration = part(root, "calibration")
    assert "95% intervals contain the truth." in calibration.text
    assert "timer resolution" in calibration.text
    assert "50 ns" in calibration.text


def test_without_a_calibration_it_says_how_to_make_one():
    text = part(shown(made.sources(made.cold(runs=1))), "calibration").text
    assert "have not been measured here" in text
    assert "pilotlight bench calibrate --json > calibration.json" in text


def test_nothing_in_a_result_becomes_markup():
    wicked = ENVIRONMENT.model_copy(update={"cpu_model": made.WICKED, "packages": {made.WICKED: made.WICKED}})
    project = info(
        made.WICKED,
        env={made.WICKED: made.WICKED},
        inputs={made.WICKED: made.WICKED},
        revision=made.WICKED,
        weights={made.WICKED: {made.WICKED: made.WICKED}},
    )
    spans = ((made.WICKED, 0.0, 0.5), ("first_prediction", 0.5, 1.0))
    cold = made.cold(
        processes=(made.cold_start(made.WICKED, spans=spans), failure(made.WICKED, "crashed", made.WICKED)),
        projects=(project,),
        environment=wicked,
    )
    warm = warm_results.result(
        *warm_results.many(made.WICKED, (40, 0.1)),
        warm_results.failure(made.WICKED, "timed_out", made.WICKED),
        projects=(project,),
    )
    rows = load_results.requests([0.1, 0.2])
    load = load_results.result(
        load_results.step(rows, "poisson", "250ms", message=made.WICKED),
        projects=(project,),
        settings={"trace": made.WICKED, "url": made.WICKED, "objectives": (made.WICKED,)},
    )
    sources = made.sources(cold, warm, {made.WICKED: load})
    text = made_of(sources, made.WICKED)
    root = parsed(text)
    assert not root.all("script")
    assert "alert" in text
    assert "<script" not in text
    assert "\x1b" not in text
    safe = " ".join(made.WICKED.replace("\x1b", "�").split())
    for name in ("cold", "warm", "load", "facts"):
        assert safe in part(root, name).text
    assert root.all("title")[0].text == root.all("h1")[0].text == safe


def test_doubts_stand_at_the_top():
    busy = ENVIRONMENT.model_copy(update={"load_1m": 9.0})
    rows = load_results.requests([0.1, 0.2])
    load = load_results.result(load_results.step(rows, complete=False), finished=False)
    sources = made.sources(made.cold(runs=2, environment=busy, finished=False), made.warm(finished=False), {"x": load})
    (warnings,) = shown(sources).all("aside")
    lines = [one.text for one in warnings.all("li")]
    assert lines[0] == "interrupted after 4 measured starts"
    assert lines[1].startswith("the machine was busy before the first start (load 9.0 on 4 cores)")
    assert "interrupted after 10 measured processes" in lines
    assert "interrupted after 0 steps" in lines
    assert not shown(made.sources(made.cold())).all("aside")


def test_failures_are_told_once_with_how_often_they_came():
    failed = [failure("ours", "setup_failed", "no weights") for _ in range(3)]
    sources = made.sources(made.cold(processes=(made.cold_start(), *failed)))
    cold = part(shown(sources), "cold")
    assert [one.text for one in cold.all("pre")] == ["setup failed: no weights (the same 3 times)"]
    assert "ours failed" in cold.text


def test_a_request_that_failed_is_told():
    rows = load_results.requests([0.1, 0.2], outcome=("error", "succeeded"))
    load = load_results.result(
        load_results.step(rows, failures=({"outcome": "error", "message": "HTTP 500", "count": 1},))
    )
    text = part(shown(made.sources(loads={"x": load})), "load").text
    assert "0.2 requests/s: 1 error: HTTP 500" in text


def test_results_without_a_single_success():
    sources = made.sources(
        made.cold(processes=(failure("plain", "timed_out", "nothing came"),), projects=(info(),)),
        made.warm(processes=(), projects=(info(),)),
        {"x": load_results.result()},
    )
    body = shown(sources)
    assert not body.all("svg")
    assert body.all("p")[1].text == "No start of plain succeeded."
    for name, text in (("cold", "No start succeeded."), ("warm", "No process ran all of its predictions.")):
        assert text in part(body, name).text


def test_results_without_a_project():
    body = shown(made.sources(made.cold(processes=(), projects=(info(),)).model_copy(update={"projects": ()})))
    assert body.all("p")[1].text == "Nothing was measured."


def test_results_of_two_machines_show_both():
    other = ENVIRONMENT.model_copy(update={"cpu_model": "Model U"})
    sources = made.sources(made.cold(runs=1), made.warm(count=1, environment=other))
    heads = [one.text for one in part(shown(sources), "facts").all("h3")]
    assert heads[:2] == ["The machine of Cold start", "The machine of Warm-up"]


def test_the_title_that_it_gives_itself():
    assert default_title(made.everything()) == "Cold start, warm-up and load of plain and ours"
    assert default_title(made.sources(made.cold((("a", 1.0),)))) == "Cold start of a"


def test_the_same_results_make_the_same_bytes(whole):
    assert made_of(made.everything()) == whole
