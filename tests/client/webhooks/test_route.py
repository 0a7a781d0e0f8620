"""The route that receives webhooks, under a real server: from anybody, and from a real gateway."""

import json
import subprocess
import sys
import threading
import time

import httpx2
import pytest
from starlette.applications import Starlette

from pilotlight.client.webhooks import Notice, webhook_route
from pilotlight.errors import ConfigError
from pilotlight.types import Status
from pilotlight.util.webhook_signing import sign
from tests.adapters.fronts import on_a_thread
from tests.cog.gateway_process import gateway_process, wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"id": "p1", "status": "succeeded", "output": ["é"], "metrics": {"predict_time": 0.5}}).encode()


class Callback:
    """Remembers what it was given, and fails as often as it is told."""

    def __init__(self, fails=0):
        self.notices = []
        self.threads = set()
        self.fails = fails

    def __call__(self, notice):
        self.notices.append(notice)
        self.threads.add(threading.get_ident())
        if self.fails:
            self.fails -= 1
            raise ValueError("the database is away")


def headers(body=BODY, *, name="msg_1", age_s=0, secret=SECRET):
    stamp = str(int(time.time()) - age_s)
    signature = f"v1,{sign(secret, name, stamp, body)}"
    return {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": signature}


@pytest.fixture
def callback():
    return Callback()


@pytest.fixture
def post(callback):
    """Sends a body to the route; the status and the detail of its answer."""
    route = webhook_route("/hook", callback, secret=SECRET, max_bytes=1000, name="hook")
    app = Starlette(routes=[route])
    assert app.url_path_for("hook") == "/hook"
    with on_a_thread(app) as url, httpx2.Client(trust_env=False, timeout=120) as client:

        def send(body=BODY, given=None):
            answer = client.post(f"{url}/hook", content=body, headers=headers(body) if given is None else given)
            return answer.status_code, answer.json()["detail"]

        send.url = url
        yield send


def test_a_signed_message_is_handed_over_once_and_on_a_thread(post, callback):
    assert post() == (200, "handled")
    assert post() == (200, "handled before")
    (notice,) = callback.notices
    assert isinstance(notice, Notice)
    assert (notice.id, notice.status, notice.output, notice.error) == ("p1", Status.SUCCEEDED, ["é"], None)
    assert (notice.metrics["predict_s"], notice.webhook_id) == (0.5, "msg_1")
    assert notice.body == json.loads(BODY)
    assert threading.get_ident() not in callback.threads


def test_a_message_that_could_not_be_handled_may_come_again(post, callback):
    callback.fails = 1
    assert post()[0] == 500
    assert post() == (200, "handled")
    assert len(callback.notices) == 2


@pytest.mark.parametrize(
    ("body", "given", "changed", "status", "words"),
    [
        (BODY + b" ", {"body": BODY}, {}, 401, "no signature"),
        (BODY, {"secret": "whsec_AAAA"}, {}, 401, "no signature"),
        (BODY, {"age_s": 301}, {}, 401, "from now"),
        (BODY, {"age_s": -330}, {}, 401, "from now"),
        (BODY, {}, {"webhook-id": "msg_2"}, 401, "no signature"),
        (BODY, {}, {"webhook-signature": None}, 400, "webhook-signature"),
        (BODY, {}, {"webhook-timestamp": "soon"}, 400, "not a number"),
        (BODY, {}, {"webhook-timestamp": "9" * 5000}, 400, "not a number"),
        (b"no json", {}, {}, 400, "of an unexpected form"),
        (b"[]", {}, {}, 400, "of an unexpected form"),
        (b'{"id": "p1", "status": "lost"}', {}, {}, 400, "lost"),
        (b"x" * 1001, {}, {}, 413, "1,000 bytes"),
    ],
)
def test_anything_else_is_refused_and_not_handed_over(post, callback, body, given, changed, status, words):
    sent = {**headers(**{"body": body, **given}), **changed}
    answered, detail = post(body, {name: value for name, value in sent.items() if value is not None})
    assert answered == status
    assert words in detail
    assert callback.notices == []


def test_only_posts_are_taken(post):
    assert httpx2.get(f"{post.url}/hook", trust_env=False).status_code == 405


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64!"])
def test_a_secret_that_is_none_is_refused_before_anything_comes(secret):
    with pytest.raises(ConfigError, match="secret"):
        webhook_route("/hook", print, secret=secret)


def test_the_client_loads_no_starlette():
    code = "import sys, pilotlight.client.webhooks; print('starlette' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_gateways_webhook_comes_again_until_it_is_handled(tmp_path):
    with gateway_process(tmp_path, "run_text", args=("--min-workers", "1", "--allow-private-urls")) as gateway:
        secret = httpx2.get(f"{gateway.url}/v1/webhooks/default/secret", trust_env=False).json()["key"]
        callback = Callback(fails=1)
        with on_a_thread(Starlette(routes=[webhook_route("/hook", callback, secret=secret)])) as url:
            created = gateway.client().models.predictions.create(
                ("local", "run_text"),
                input={"prompt": "a", "count": 2},
                webhook=f"{url}/hook",
                webhook_events_filter=["completed"],
            )
            wait_until(lambda: len(callback.notices) == 2)
    first, second = callback.notices
    assert first.webhook_id == second.webhook_id
    assert (second.id, second.status, second.output) == (created.id, Status.SUCCEEDED, ["a0 ", "a1 "])
    assert "mode echo" in second.logs
    assert second.body["input"] == {"prompt": "a", "count": 2}
    assert second.metrics["predict_s"] >= 0
