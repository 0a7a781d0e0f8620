"""What each platform can and cannot do: the table that the conformance suite asserts, and its page in docs/.

    python -m tests.client.capabilities > docs/platform-capabilities.md

A new platform is a row in ``PLATFORMS`` here, and a function in ``platforms.OPENERS`` that starts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One platform; what differs between platforms, and nothing else.

    Attributes:
        target: how a target of it is written.
        tested: what the suite runs against.
        exact_stream: whether streamed text keeps every character, line ends included.
        logs: when what a predictor prints is there to read.
        keeps_canceled_logs: whether what a cancelled prediction had printed is kept.
        metrics: whether what a predictor records arrives.
        exact_objects: whether an object as output keeps its form, empty or with names that the platform uses.
        cancels_by: how a prediction is cancelled there.
        hears_early_cancels: whether a cancel right after the start reaches the worker.
        orphans: when a prediction ends whose client has died.
        attaches: whether another process can take up a prediction by its id, and a closed client leaves it running.
        restarts: who starts a worker again that has died.
        lost_platform: what becomes of a prediction when the whole platform is killed: the caller gets an error, or only
            the deadline ends it.
        tells_failed_setup: whether a caller hears why no worker comes up.
        holds_calls: whether a call is kept while the platform is down, rather than refused.
        tells_cold_start: whether the queue and a cold start are told apart.
        gives_schema: whether it gives the predictor's schema, for inputs to be checked before they are sent.
        uploads: whether files above 256 kB are uploaded, rather than sent within the request.
        private_urls: whether a URL as input may lead into the platform's own network.
        largest_input_bytes: above which a request is refused before it is sent.
        limits: the platform's own, by its documentation; the suite does not reach them.
        needs_token: whether a call without a valid token is refused.
        many_chunks: how many chunks the suite streams: coglet drops events of a reader that falls far behind, as one
            may on a busy machine.
    """

    target: str
    tested: str
    exact_stream: bool = True
    logs: Literal["while it runs", "at its end", "no"] = "while it runs"
    keeps_canceled_logs: bool = True
    metrics: bool = True
    exact_objects: bool = True
    cancels_by: Literal["hanging up", "a call"] = "hanging up"
    hears_early_cancels: bool = True
    orphans: Literal["at once", "at its deadline"] = "at once"
    attaches: bool = False
    restarts: Literal["the platform", "the client", "nobody"] = "the platform"
    lost_platform: Literal["an error", "the deadline"] = "an error"
    tells_failed_setup: bool = False
    holds_calls: bool = False
    tells_cold_start: bool = False
    gives_schema: bool = True
    uploads: bool = False
    private_urls: bool = True
    largest_input_bytes: int | None = None
    limits: str = "Cog's: 100 MiB a request"
    needs_token: bool = False
    many_chunks: int = 1_000


PLATFORMS = {
    "project": Capabilities(
        target="`project:DIR`",
        many_chunks=5_000,
        tested="a real Cog server, which the client starts",
        restarts="the client",
        tells_failed_setup=True,
        tells_cold_start=True,
    ),
    "cog": Capabilities(
        target="`cog:URL`",
        tested="a real Cog server",
        restarts="nobody",
    ),
    "gateway": Capabilities(
        target="`gateway:URL`, `replicate:...`",
        tested="a real gateway, which speaks Replicate's API",
        exact_stream=False,
        cancels_by="a call",
        orphans="at its deadline",
        attaches=True,
        tells_failed_setup=True,
        tells_cold_start=True,
        uploads=True,
        private_urls=False,
        limits="Cog's: 100 MiB a request",
    ),
    "runpod": Capabilities(
        target="`runpod:ENDPOINT`",
        tested="RunPod's own worker loop; its queue is a small server of ours",
        logs="no",
        keeps_canceled_logs=False,
        metrics=False,
        exact_objects=False,
        cancels_by="a call",
        hears_early_cancels=False,  # its loop forgets one for a job that it has taken and not begun
        orphans="at its deadline",
        attaches=True,
        lost_platform="the deadline",
        holds_calls=True,
        gives_schema=False,
        largest_input_bytes=10_000_000,
        limits="10 MB a request, 1 MB a chunk, results for 30 min",
        needs_token=True,
        many_chunks=500,  # each is a request of its worker
    ),
    "vertex": Capabilities(
        target="`vertex:projects/...`",
        tested="the real container; Vertex AI's API is a small server of ours",
        logs="at its end",
        keeps_canceled_logs=False,
        gives_schema=False,
        limits="1.5 MB and 60 s on a shared endpoint, 10 MB and 1 h on a dedicated one",
        needs_token=True,
    ),
    "sagemaker": Capabilities(
        target="`sagemaker:NAME`",
        tested="the real container and boto3; SageMaker's runtime is a small server of ours",
        logs="at its end",
        keeps_canceled_logs=False,
        gives_schema=False,
        limits="6 MB a request, 60 s to the first answer",
    ),
}


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


_ROWS: tuple[tuple[str, Callable[[Capabilities], str]], ...] = (
    ("target", lambda one: one.target),
    ("tested against", lambda one: one.tested),
    ("streams text, exactly as it was", lambda one: "yes" if one.exact_stream else "line ends become `\\n`"),
    ("logs of a prediction", lambda one: one.logs),
    ("logs of a cancelled one are kept", lambda one: _yes(one.keeps_canceled_logs)),
    ("the predictor's own metrics", lambda one: _yes(one.metrics)),
    (
        "objects as output",
        lambda one: "yes" if one.exact_objects else "in an `output` where they have an `error`; `{}` is nothing",
    ),
    ("cancels, by", lambda one: one.cancels_by),
    ("a cancel right after the start", lambda one: "works" if one.hears_early_cancels else "may free no slot"),
    ("a prediction whose client died ends", lambda one: one.orphans),
    ("taken up again by its id", lambda one: _yes(one.attaches)),
    ("a worker that died is started again by", lambda one: one.restarts),
    ("when the platform is killed, a prediction ends with", lambda one: one.lost_platform),
    ("why a setup failed is told to the caller", lambda one: _yes(one.tells_failed_setup)),
    ("a call while the platform is down", lambda one: "waits for it" if one.holds_calls else "is refused"),
    ("tells a cold start from a queue", lambda one: _yes(one.tells_cold_start)),
    ("gives its schema", lambda one: "yes" if one.gives_schema else "no: `Client(schema=...)`"),
    ("files above 256 kB", lambda one: "are uploaded" if one.uploads else "go in the request"),
    ("URLs into its own network", lambda one: "are fetched" if one.private_urls else "are refused"),
    ("needs a token", lambda one: _yes(one.needs_token)),
    ("limits of its own (documented, not tested)", lambda one: one.limits),
)

_BEFORE = """\
# What each platform can and cannot do

The conformance suite (`tests/client/test_conformance*.py`) runs the same cases on every platform: results, streams,
refused inputs, failures, cancels, timeouts, and a platform that is killed and brought back. The table lists only what
differs; the suite asserts these differences, too. The following is the same everywhere: text, files and JSON as input
and output; streams that arrive chunk by chunk; failures with their message and with what was streamed before them;
cancels; deadlines for the wait and for the run; as many predictions at once as the worker has slots; wrong inputs
refused by name before they are sent.
"""

_AFTER = """\
`replicate:` and `replicate-deployment:` speak the API that the gateway serves; the suite does not contact Replicate.
On Vertex AI and SageMaker a cancel works as far as the platform passes on that the client has closed the connection;
the small servers in front of the containers do. This page is generated:
`python -m tests.client.capabilities > docs/platform-capabilities.md`.
"""


def table() -> str:
    """The platforms as a table of Markdown, one column each."""
    lines = [["", *PLATFORMS], ["---"] * (len(PLATFORMS) + 1)]
    lines += [[title, *(cell(platform) for platform in PLATFORMS.values())] for title, cell in _ROWS]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def page() -> str:
    """The whole page."""
    return f"{_BEFORE}\n{table()}\n{_AFTER}"


if __name__ == "__main__":
    print(page(), end="")
