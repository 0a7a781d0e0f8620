"""Signatures, against those of the official client."""

import json

import pytest
from replicate.webhook import Webhooks, WebhookSigningSecret

from pilotlight.client import verify_webhook
from pilotlight.errors import ConfigError, WebhookError
from pilotlight.util.webhook_signing import sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"id": "x", "output": "é"}).encode()
NOW = 1_700_000_000.0


def headers(body=BODY, *, stamp="1700000000", name="msg_1", secret=SECRET):
    signature = sign(secret, name, stamp, body)
    return {"Webhook-Id": name, "WEBHOOK-TIMESTAMP": stamp, "webhook-signature": f"v1,{signature}"}


def test_a_signed_message_is_accepted_and_named():
    assert verify_webhook(BODY, headers(), SECRET, now=NOW + 299) == "msg_1"


def test_the_official_client_accepts_our_signature():
    given = {name.lower(): value for name, value in headers().items()}
    Webhooks.validate(headers=given, body=BODY.decode(), secret=WebhookSigningSecret(key=SECRET))


def test_one_good_signature_among_several_is_enough():
    given = headers()
    given["webhook-signature"] = f"v1,AAAA v2,x {given['webhook-signature']}"
    assert verify_webhook(BODY, given, SECRET, now=NOW) == "msg_1"


@pytest.mark.parametrize(
    ("body", "given", "words"),
    [
        (BODY + b" ", headers(), "no signature"),
        (BODY, headers(secret="whsec_AAAA"), "no signature"),
        (BODY, {**headers(), "Webhook-Id": "msg_2"}, "no signature"),
        (BODY, {**headers(), "webhook-signature": ""}, "no signature"),
        (BODY, {**headers(), "webhook-signature": "v1,é"}, "no signature"),
        (BODY, headers(stamp="1699999699"), "from now"),
        (BODY, headers(stamp="1700000301"), "from now"),
        (BODY, {**headers(), "WEBHOOK-TIMESTAMP": "soon"}, "not a number"),
        (BODY, {"webhook-id": "a", "webhook-timestamp": "1"}, "webhook-signature"),
        (BODY, {}, "missing"),
    ],
)
def test_anything_else_is_refused(body, given, words):
    with pytest.raises(WebhookError, match=words):
        verify_webhook(body, given, SECRET, now=NOW)


def test_a_secret_that_is_none_is_the_callers_mistake():
    with pytest.raises(ConfigError, match="whsec_"):
        verify_webhook(BODY, headers(), "not base64!", now=NOW)
