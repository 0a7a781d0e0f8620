"""Maps SageMaker's errors and endpoint states to pilotlight's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.client.connection import TargetState
from pilotlight.client.errors import error_message
from pilotlight.client.targets.names import Target
from pilotlight.errors import (
    InputError,
    PilotlightError,
    TargetAuthError,
    TargetBusyError,
    TargetError,
    TargetMissingError,
    TargetUnavailableError,
)
from pilotlight.prices import Tariff

# States in which an endpoint serves; one that is being updated serves its previous version.
_SERVING = ("InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed")
_WHEN = {
    "Creating": "it accepts predictions once it is InService, in some minutes",
    "Deleting": "create it again, or send predictions elsewhere",
    "Failed": "its container's logs are in CloudWatch; delete the endpoint and create it again",
    "OutOfService": "it accepts no predictions until it is updated",
}

_REFUSED = (400, 413, 415, 422)
_BUSY = 429
_HOUR_S = 3600.0


def error_for(target: Target, response: Mapping[str, Any]) -> PilotlightError:
    """Convert the response of a ``ClientError``.

    Args:
        target: the endpoint.
        response: the response in botocore's error.
    """
    code = str(response.get("Error", {}).get("Code", ""))
    words = f"{target}: {response.get('Error', {}).get('Message') or code}"
    match code:
        case "ModelError":
            return _of_the_container(response, words)
        case "ValidationError" | "ValidationException" | "ResourceNotFound":
            return TargetMissingError(words)
        case "ThrottlingException" | "ModelNotReadyException":
            return TargetBusyError(words)
        case "ServiceUnavailable" | "InternalFailure" | "InternalDependencyException":
            return TargetUnavailableError(words)
        case "ModelStreamError" | "InternalStreamFailure":
            return TargetUnavailableError(f"{words}: the connection broke before the prediction's end")
    if any(word in code for word in ("AccessDenied", "Token", "Signature", "UnrecognizedClient")):
        return TargetAuthError(words)
    return TargetError(words)


def _of_the_container(response: Mapping[str, Any], words: str) -> PilotlightError:
    """Convert an error response of pilotlight's container, which SageMaker forwards."""
    status = int(response.get("OriginalStatusCode") or 500)
    said = error_message(response.get("OriginalMessage") or words)
    if status in _REFUSED:
        return InputError("input", said)
    return TargetBusyError(said) if status == _BUSY else TargetUnavailableError(said)


def state_from(endpoint: Mapping[str, Any], config: Mapping[str, Any], tariff: Tariff) -> TargetState:
    """Return an endpoint's state.

    Args:
        endpoint: the response of ``DescribeEndpoint``.
        config: the response of ``DescribeEndpointConfig``; empty if unknown.
        tariff: SageMaker's prices.
    """
    status = str(endpoint.get("EndpointStatus", "Unknown"))
    types = {one["VariantName"]: one.get("InstanceType") for one in config.get("ProductionVariants", [])}
    hardware: dict[str, int] = {}
    unknown = not types
    for variant in endpoint.get("ProductionVariants", []):
        kind = types.get(variant["VariantName"])
        if kind is None:  # serverless: there are no machines, and no price per hour
            unknown = True
        else:
            hardware[kind] = hardware.get(kind, 0) + int(variant.get("CurrentInstanceCount", 0))
    priced = not unknown and all(name in tariff.usd_per_s for name in hardware)
    cost = sum(tariff.usd_per_s[name] * _HOUR_S * count for name, count in hardware.items()) if priced else None
    return TargetState(status, status in _SERVING, endpoint.get("FailureReason"), hardware, cost)


def refusal(target: Target, state: TargetState, words: str) -> PilotlightError:
    """Return the error for a prediction that an existing endpoint has not accepted.

    Args:
        target: the endpoint.
        state: the endpoint's state.
        words: the runtime's message.
    """
    if state.serves:
        return TargetError(words)
    why = f" ({state.reason})" if state.reason else ""
    advice = _WHEN.get(state.status, "it accepts predictions when it is InService")
    return TargetUnavailableError(f"{target} is {state.status}{why}: {advice}", sent=False)
