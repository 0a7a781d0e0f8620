"""What programs do with Google's client of Vertex AI, against a container of ours; see scripts/checks/check_clients.py.

One line for each check: `ok NAME` or `FAILED NAME: why`. The client's REST transport is the one that also speaks to
an address without TLS, and predict is what it speaks there: for a raw request it sends a wrapped one.
"""

import sys

from google.api_core.exceptions import GoogleAPICallError
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import TransportError
from google.cloud.aiplatform_v1.services.prediction_service import PredictionServiceClient
from google.cloud.aiplatform_v1.services.prediction_service.transports.rest import PredictionServiceRestTransport
from google.oauth2.credentials import Credentials
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from requests.exceptions import ConnectionError as RefusedError

ENDPOINT = "projects/p/locations/l/endpoints/1"
transport = PredictionServiceRestTransport(
    host=sys.argv[1].removeprefix("http://"), credentials=Credentials("token"), url_scheme="http"
)
client = PredictionServiceClient(transport=transport)
# The container announces itself just before it listens.
patience = Retry(if_exception_type(RefusedError, TransportError), initial=0.1, timeout=10)


def predict(*instances, **parameters):
    answer = client.predict(
        endpoint=ENDPOINT,
        instances=[json_format.ParseDict(one, Value()) for one in instances],
        parameters=json_format.ParseDict(parameters, Value()),
        timeout=30,
        retry=patience,
    )
    return list(answer.predictions)


def refused(*instances):
    try:
        found = predict(*instances)
    except GoogleAPICallError as error:
        return error
    raise AssertionError(f"{found!r} instead of an error")


def instances_in_order():
    # Every number is a double on the wire, the integers too.
    assert predict({"prompt": "a", "count": 2}, "b", count=1) == ["a0 a1 ", "b0 "]


def text_as_it_was():
    text = "\u2028\U0001f600 \r\n\t"
    assert predict({"prompt": text}, count=1) == [f"{text}0 "]


def a_wrong_input():
    error = refused({"prompt": "a", "count": -1})
    assert (error.code, "count" in error.message) == (422, True), error


def a_failure():
    error = refused("a", {"prompt": "b", "mode": "raise"})
    assert (error.code, "boom" in error.message) == (500, True), error


def main():
    for check in (instances_in_order, text_as_it_was, a_wrong_input, a_failure):
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the result
            print(f"FAILED {check.__name__}: {type(error).__name__}: {error}", flush=True)
        else:
            print(f"ok {check.__name__}", flush=True)


main()
