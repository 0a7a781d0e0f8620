"""The page at ``/`` over HTTP, with fake workers, and its templates."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pilotlight.gateway.api.routing import by_group
from pilotlight.gateway.app import ROUTES
from pilotlight.gateway.scheduler.status import GatewayStatus, PredictionStatus
from pilotlight.gateway.ui.docs import usage_examples
from pilotlight.gateway.ui.format import seconds
from pilotlight.gateway.ui.render import render
from pilotlight.types import Status
from tests.gateway.made import made_version, run, served


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, **options) as client:
            return await scenario(client)

    return run(whole())


async def predict(client, prompt="a"):
    return (await client.post("/predict", json={"input": {"prompt": prompt}})).json()


def docs(versions, base="http://a", **values):
    """The part of the page that says how to use the gateway."""
    examples = usage_examples(versions, base, token=False)
    return render("docs.html", **{"examples": examples, "groups": by_group(ROUTES), "locked": False, **values})


@pytest.mark.parametrize(
    ("value_s", "text"), [(0.0004, "0 ms"), (0.9994, "999 ms"), (0.9996, "1.00 s"), (9.994, "9.99 s"), (9.996, "10 s")]
)
def test_times_are_told_to_what_matters(value_s, text):
    assert seconds(value_s) == text


class Page(HTMLParser):
    """What a browser would load, run and show."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.inline, self.text = [], [], ""
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self._open.append(tag)
        if tag in ("script", "link", "img"):
            self.loaded.append(found.get("src") or found.get("href"))
        self.inline += [name for name in found if name.startswith("on") or name == "style"]

    def handle_data(self, data):
        self.text += data
        if self._open[-1:] == ["style"] or (self._open[-1:] == ["script"] and data.strip()):
            self.inline.append(data)


def test_the_page_is_whole_without_its_script(tmp_path):
    async def scenario(client):
        done = await predict(client)
        answer = await client.get("/")
        page = Page(answer.text)
        for expected in ("local/model1", "1 succeeded", done["id"], "needs 59", f"{client.base_url}/predict"):
            assert expected in page.text
        assert page.inline == []
        live = await client.get("/page/live")
        assert Page(live.text).text in page.text

    over_http(tmp_path, scenario)


def test_the_page_loads_nothing_from_elsewhere_and_allows_nothing_else(tmp_path):
    async def scenario(client):
        answer = await client.get("/")
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        for url in Page(answer.text).loaded:
            if not url.startswith("data:image/svg"):
                asset = await client.get(f"/{url}")
                assert asset.status_code == 200
                assert asset.headers["x-content-type-options"] == "nosniff"
                assert not re.search(r"https?://|@import", asset.text)

    over_http(tmp_path, scenario)


def test_where_a_token_is_asked_for_the_page_tells_nothing_without_it(tmp_path):
    async def scenario(client):
        done = (await client.post("/predict", json={"input": {"prompt": "a"}}, headers=bearer)).json()
        page = await client.get("/")
        assert page.status_code == 200
        for hidden in ("model1", done["id"], "not-shown"):
            assert hidden not in page.text
        assert [(await client.get(path)).status_code for path in ("/page/live", "/status", "/logs")] == [401] * 3
        live = await client.get("/page/live", headers=bearer)
        assert done["id"] in live.text
        assert "$TOKEN" in live.text
        assert "not-shown" not in live.text
        script = (await client.get("/page/script.js")).text
        assert not re.search("localStorage|sessionStorage|cookie|indexedDB", script)

    bearer = {"Authorization": "Bearer not-shown"}
    over_http(tmp_path, scenario, token="not-shown")


def test_every_text_is_escaped():
    named = replace(made_version(), name="<b>&")
    assert "<b>" not in docs([named], 'http://"><b>')
    prediction = PredictionStatus("<b>", "<b>", Status.FAILED, 0.0, 1.0, None, 2.0)
    status = GatewayStatus(0.0, stopping=True, models=(), predictions=(prediction,))
    shown = render("live.html", status=status)
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown
    assert "Nothing is served." in shown
    assert "accepts no more predictions" in shown
    assert "Examples appear here" in docs([])
    assert 'href="page' in render("page.html", locked=True, base='"><b>')
    assert "<b>" not in render("page.html", locked=True, base='"><b>')


def test_backticks_of_a_summary_are_code_and_nothing_else_is_markup():
    route = replace(ROUTES[0], summary="Run `a <b>` & c")
    shown = docs([], groups={"<i>": [route]})
    assert "Run <code>a &lt;b&gt;</code> &amp; c" in shown
    assert "<i>" not in shown


def test_every_cell_knows_its_column(tmp_path):
    async def scenario(client):
        await predict(client)
        text = (await client.get("/page/live")).text
        for table in re.findall("<table.*?</table>", text, re.DOTALL):
            columns = re.findall('scope="col">(.*?)<', table)
            for row in re.findall('<tr role="row">\n(.*?)</tr>', table, re.DOTALL):
                assert re.findall('data-column="(.*?)"', row) == columns

    over_http(tmp_path, scenario)


def test_templates_are_loaded_when_the_page_is_asked_for():
    code = "import pilotlight.gateway.app, sys; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_page_lists_every_route_for_programs():
    shown = Page(docs([])).text
    for route in ROUTES:
        assert (route.summary.replace("`", "") in shown) is route.documented, route.label
