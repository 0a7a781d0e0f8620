"""What a webhook says, and when."""

import base64
import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replicate.webhook import InvalidSignatureError, Webhooks, WebhookSigningSecret

from pilotlight.errors import ConfigError
from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.webhooks.events import (
    EVENTS,
    DeliveryState,
    backoff_s,
    new_secret,
    next_event,
    sign,
    state_after,
)
from pilotlight.types import Prediction, Status
from tests.gateway.made import made_record

RUNS = lifecycle.begin(made_record(), 101.0)


def ended(output=("a",), logs="said"):
    prediction = Prediction("a", Status.SUCCEEDED, output=list(output), logs=logs)
    return lifecycle.finish(RUNS, prediction, 102.0)


def with_progress(output, logs=""):
    return replace(RUNS, output=output, logs=logs)


def test_nothing_is_due_before_it_begins():
    assert next_event(EVENTS, DeliveryState(), made_record()) is None
    assert next_event(EVENTS, DeliveryState(), lifecycle.cancel(made_record(), 101.0)) is None


def test_start_comes_first_and_without_what_came_since():
    for record in (with_progress(["a"], "said"), ended()):
        news = next_event(EVENTS, DeliveryState(), record)
        assert (news.status, news.output, news.logs, news.completed_at) == (Status.PROCESSING, None, "", None)
        assert next_event(["completed"], DeliveryState(), record) is None


@pytest.mark.parametrize(
    ("events", "output", "logs", "due"),
    [
        (["output"], ["a"], "", True),
        (["output"], None, "said", False),
        (["logs"], ["a"], "", False),
        (["logs"], None, "said", True),
        (["output", "logs"], None, "", False),
        (["start", "completed"], ["a"], "said", False),
    ],
)
def test_progress_is_due_to_those_who_asked_for_it(events, output, logs, due):
    record = with_progress(output, logs)
    news = next_event(events, state_after(RUNS), record)
    assert news is (record if due else None)
    assert next_event(events, state_after(record), record) is None


def test_the_last_output_comes_with_the_end_or_else_by_itself():
    told = state_after(with_progress(["a"]))
    assert next_event(EVENTS, told, ended(["a", "b"])) is None
    assert next_event(["output"], told, ended(["a", "b"])).output == ["a", "b"]
    assert next_event(["output"], state_after(ended()), ended()) is None


@given(st.integers(min_value=1, max_value=10**9))
def test_attempts_come_ever_later_up_to_a_quarter_of_an_hour(attempts):
    assert backoff_s(attempts) <= backoff_s(attempts + 1) <= 900
    assert backoff_s(1) == 1


@given(st.dictionaries(st.text(), st.text(), max_size=3))
def test_replicates_client_accepts_the_signature_and_no_other(value):
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    secret = new_secret()
    headers = sign(secret, "msg_1", int(time.time()), body)
    Webhooks.validate(headers=headers, body=body.decode(), secret=WebhookSigningSecret(key=secret))
    with pytest.raises(InvalidSignatureError):
        Webhooks.validate(headers=headers, body=body.decode() + " ", secret=WebhookSigningSecret(key=secret))


def test_a_signature_stays_the_same_between_releases():
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    assert sign(secret, "msg_1", 1_700_000_000, b"{}") == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,E3sCg9uS8x43RKlJqcda1EcaYZxNkN+l2u7RBZBSZQQ=",
    }
    with pytest.raises(ConfigError, match="in base64"):
        sign("whsec_?", "msg_1", 0, b"")
