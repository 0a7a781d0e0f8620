"""An endpoint of SageMaker: the control plane is moto's, the runtime our adapter's, and boto3 is as it comes."""

import boto3
import pytest
from moto.server import ThreadedMotoServer
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pilotlight.adapters.clouds import sagemaker
from pilotlight.adapters.hosting import Host
from pilotlight.client import Client, Retry
from pilotlight.client.targets.names import parse_target
from pilotlight.client.targets.sagemaker_states import error_for, refusal, state_from
from pilotlight.errors import (
    InputError,
    TargetAuthError,
    TargetBusyError,
    TargetError,
    TargetMissingError,
    TargetUnavailableError,
)
from pilotlight.prices import load_prices
from pilotlight.runtime import Project
from tests.adapters.fronts import on_a_thread, sagemaker_runtime
from tests.paths import PROJECTS

REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/anybody"
TARIFF = load_prices().tariffs["sagemaker"]
TARGET = parse_target("sagemaker:e")


@pytest.fixture(scope="module")
def control_url():
    """SageMaker as moto has it, with an endpoint of each kind."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    client = boto3.session.Session().client("sagemaker", endpoint_url=url, region_name=REGION, **keys)
    client.create_model(ModelName="m", PrimaryContainer={"Image": "image"}, ExecutionRoleArn=ROLE)
    machines = {"InstanceType": "ml.g4dn.xlarge", "InitialInstanceCount": 2}
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}}
    for name, variant in (("machines", machines), ("unpriced", {**machines, "InstanceType": "ml.c5.large"})):
        _create(client, name, variant)
    _create(client, "serverless", serverless)
    _create(client, "unconfigured", machines)
    client.delete_endpoint_config(EndpointConfigName="unconfigured-config")
    client.close()
    yield url
    server.stop()


def _create(client, name, variant):
    variants = [{"VariantName": "all", "ModelName": "m", **variant}]
    client.create_endpoint_config(EndpointConfigName=f"{name}-config", ProductionVariants=variants)
    client.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")


@pytest.fixture(scope="module")
def runtime_url():
    with (
        Host(Project.load(PROJECTS / "run_text")) as host,
        on_a_thread(sagemaker.create_app(host)) as container,
        on_a_thread(sagemaker_runtime(container, "machines")) as url,
    ):
        yield url


@pytest.fixture
def connect(control_url, runtime_url, monkeypatch):
    """A client of an endpoint; boto3 is told where its services are as it lets everybody tell it."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", control_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", runtime_url)
    return lambda name, **settings: Client(f"sagemaker:{name}", **settings)


def test_an_endpoint_says_how_it_stands_and_what_it_costs_and_takes_predictions(connect):
    with connect("machines") as client:
        state = client.state()
        assert (state.status, state.serves, state.reason) == ("InService", True, None)
        assert state.hardware == {"ml.g4dn.xlarge": 2}
        assert state.usd_per_hour == pytest.approx(2 * 0.7364)
        assert client.run({"prompt": "a", "count": 2}).output == ["a0 ", "a1 "]


@pytest.mark.parametrize(
    ("name", "hardware"),
    [("unpriced", {"ml.c5.large": 2}), ("serverless", {}), ("unconfigured", {})],
)
def test_what_has_no_price_or_no_machine_that_is_known_has_no_cost(connect, name, hardware):
    with connect(name) as client:
        state = client.state()
    assert (state.serves, state.hardware, state.usd_per_hour) == (True, hardware, None)


def test_an_endpoint_that_is_not_there_is_named_with_the_region(connect):
    with connect("nothing") as client:
        for ask in (client.state, lambda: client.run({"prompt": "a"})):
            with pytest.raises(TargetMissingError, match="no endpoint 'nothing' in eu-west-1; `aws sagemaker list"):
                ask()


def test_what_the_runtime_says_is_kept_where_the_control_plane_knows_no_better(connect):
    # moto has this one, and says that it serves; the runtime does not know it.
    with connect("unpriced") as client, pytest.raises(TargetError, match="Endpoint unpriced of account 1 not found"):
        client.run({"prompt": "a"})


def test_whoever_may_not_look_still_gets_the_runtimes_words(connect, monkeypatch):
    async def refuse(request):
        error = {"__type": "AccessDeniedException", "Message": "not you"}
        return JSONResponse(error, 400, media_type="application/x-amz-json-1.1")

    with on_a_thread(Starlette(routes=[Route("/", refuse, methods=["POST"])])) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
        with connect("nothing") as client:
            with pytest.raises(TargetAuthError, match="not you"):
                client.state()
            with pytest.raises(TargetMissingError, match="Endpoint nothing of account 1 not found"):
                client.run({"prompt": "a"})


def test_a_control_plane_that_nobody_answers_for_is_unreached(connect, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:9")
    with connect("machines") as client, pytest.raises(TargetUnavailableError, match="cannot be reached") as caught:
        client.state()
    assert not caught.value.sent


def test_an_endpoint_that_is_throttled_is_asked_again(connect, monkeypatch):
    asked = []

    async def throttle(request):
        asked.append(request.path_params["name"])
        headers = {"x-amzn-ErrorType": "ThrottlingException"}
        return JSONResponse({"message": "Rate exceeded"}, 400, headers)

    route = Route("/endpoints/{name}/invocations-response-stream", throttle, methods=["POST"])
    with on_a_thread(Starlette(routes=[route])) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
        client = connect("machines", retry=Retry(tries=3, base_s=0.0))
        with client, pytest.raises(TargetBusyError, match="Rate exceeded"):
            client.run({"prompt": "a"})
    assert asked == ["machines"] * 3


def test_missing_credentials_are_named(connect, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with connect("machines") as client:
        for ask in (client.state, lambda: client.run({"prompt": "a"})):
            with pytest.raises(TargetAuthError, match="credentials"):
                ask()


def endpoint(status, **more):
    return {"EndpointStatus": status, "ProductionVariants": [{"VariantName": "a", "CurrentInstanceCount": 1}], **more}


def config(kind):
    return {"ProductionVariants": [{"VariantName": "a", "InstanceType": kind}]}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("Creating", r"^sagemaker:e is Creating: it accepts predictions once it is InService"),
        ("Failed", r"^sagemaker:e is Failed \(the health check did not pass\): its container's logs are in CloudWatch"),
        ("Deleting", r"^sagemaker:e is Deleting: create it again"),
        ("OutOfService", r"^sagemaker:e is OutOfService: .*until it is updated"),
        ("Meditating", r"^sagemaker:e is Meditating: it accepts predictions when it is InService"),
    ],
)
def test_an_endpoint_that_does_not_serve_says_why_and_a_fallback_may_take_over(status, words):
    reason = {"FailureReason": "the health check did not pass"} if status == "Failed" else {}
    state = state_from(endpoint(status, **reason), config("ml.g5.xlarge"), TARIFF)
    assert not state.serves
    error = refusal(TARGET, state, "not found")
    with pytest.raises(TargetUnavailableError, match=words):
        raise error
    assert not error.sent


@pytest.mark.parametrize("status", ["InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"])
def test_an_endpoint_that_is_being_changed_serves(status):
    state = state_from(endpoint(status), config("ml.g5.xlarge"), TARIFF)
    assert (state.serves, state.hardware, state.usd_per_hour) == (True, {"ml.g5.xlarge": 1}, pytest.approx(1.408))
    assert str(refusal(TARGET, state, "wrong header")) == "wrong header"


def test_an_endpoint_that_is_being_made_has_no_machines_yet():
    state = state_from({"EndpointStatus": "Creating"}, config("ml.g5.xlarge"), TARIFF)
    assert (state.serves, state.hardware, state.usd_per_hour) == (False, {}, 0)


@pytest.mark.parametrize(
    ("code", "more", "kind", "words"),
    [
        (
            "ModelError",
            {"OriginalStatusCode": 422, "OriginalMessage": '{"error": "n: too small"}'},
            InputError,
            "small",
        ),
        ("ModelError", {"OriginalStatusCode": 429, "OriginalMessage": "full"}, TargetBusyError, "full"),
        ("ModelError", {"OriginalStatusCode": 500}, TargetUnavailableError, "said"),
        ("ValidationError", {}, TargetMissingError, "said"),
        ("ThrottlingException", {}, TargetBusyError, "said"),
        ("ModelNotReadyException", {}, TargetBusyError, "said"),
        ("ServiceUnavailable", {}, TargetUnavailableError, "said"),
        ("InternalFailure", {}, TargetUnavailableError, "said"),
        ("ModelStreamError", {}, TargetUnavailableError, "before the prediction"),
        ("AccessDeniedException", {}, TargetAuthError, "said"),
        ("ExpiredTokenException", {}, TargetAuthError, "said"),
        ("InvalidSignatureException", {}, TargetAuthError, "said"),
        ("UnrecognizedClientException", {}, TargetAuthError, "said"),
        ("SomethingNew", {}, TargetError, "said"),
    ],
)
def test_each_of_awss_codes_is_one_of_our_errors(code, more, kind, words):
    error = error_for(TARGET, {"Error": {"Code": code, "Message": "said"}, **more})
    assert type(error) is kind
    assert words in str(error)
