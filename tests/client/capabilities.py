"""What each home can and cannot do: the table that the conformance suite holds every home to, and docs/homes.md.

    python -m tests.client.capabilities > docs/homes.md

A new home is a row in ``HOMES`` here, and a function in ``homes.OPENERS`` that starts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One home; what differs between homes, and nothing else.

    Attributes:
        target: how a target of it is written.
        tested: what the suite runs against.
        exact_stream: whether streamed text keeps every character, line ends included.
        logs: when what a predictor prints is there to read.
        keeps_canceled_logs: whether what a cancelled prediction had printed is kept.
        metrics: whether what a predictor records arrives.
        exact_objects: whether an object as output keeps its form, empty or with names that the home uses.
        cancels_by: how a prediction is cancelled there.
        hears_early_cancels: whether a cancel right after the start reaches the worker.
        orphans: when a prediction ends whose client has died.
        attaches: whether another process can take up a prediction by its id, and a closed client leaves it running.
        restarts: who starts a worker again that has died.
        lost_home: what becomes of a prediction when the whole home is killed: the caller hears of it, or only the
            deadline ends it.
        tells_failed_setup: whether a caller hears why no worker comes up.
        holds_calls: whether a call is kept while the home is down, rather than refused.
        tells_cold_start: whether the queue and a cold start are told apart.
        gives_schema: whether it gives the predictor's schema, for inputs to be checked before they are sent.
        uploads: whether files above 256 kB are uploaded, rather than sent within the request.
        private_urls: whether a URL as input may lead into the home's own network.
        largest_input_bytes: above which a request is refused before it is sent.
        limits: the home's own, by its documentation; the suite does not reach them.
        needs_token: whether a call without a valid token is refused.
        many_chunks: how many chunks the suite streams: coglet drops events of a reader that falls far behind, as a home
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
    restarts: Literal["the home", "the client", "nobody"] = "the home"
    lost_home: Literal["an error", "the deadline"] = "an error"
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


HOMES = {
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
        lost_home="the deadline",
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
    ("target", lambda home: home.target),
    ("tested against", lambda home: home.tested),
    ("streams text, exactly as it was", lambda home: "yes" if home.exact_stream else "line ends become `\\n`"),
    ("logs of a prediction", lambda home: home.logs),
    ("logs of a cancelled one are kept", lambda home: _yes(home.keeps_canceled_logs)),
    ("the predictor's own metrics", lambda home: _yes(home.metrics)),
    (
        "objects as output",
        lambda home: "yes" if home.exact_objects else "in an `output` where they have an `error`; `{}` is nothing",
    ),
    ("cancels, by", lambda home: home.cancels_by),
    ("a cancel right after the start", lambda home: "works" if home.hears_early_cancels else "may free no slot"),
    ("a prediction whose client died ends", lambda home: home.orphans),
    ("taken up again by its id", lambda home: _yes(home.attaches)),
    ("a worker that died is started again by", lambda home: home.restarts),
    ("when the home is killed, a prediction ends with", lambda home: home.lost_home),
    ("why a setup failed is told to the caller", lambda home: _yes(home.tells_failed_setup)),
    ("a call while the home is down", lambda home: "waits for it" if home.holds_calls else "is refused"),
    ("tells a cold start from a queue", lambda home: _yes(home.tells_cold_start)),
    ("gives its schema", lambda home: "yes" if home.gives_schema else "no: `Client(schema=...)`"),
    ("files above 256 kB", lambda home: "are uploaded" if home.uploads else "go in the request"),
    ("URLs into its own network", lambda home: "are fetched" if home.private_urls else "are refused"),
    ("needs a token", lambda home: _yes(home.needs_token)),
    ("limits of its own (documented, not tested)", lambda home: home.limits),
)

_BEFORE = """\
# What each home can and cannot do

Every case of the conformance suite (tests/client/test_conformance*.py) runs at every home: what is returned, streamed,
refused, failed, cancelled, timed out, killed and brought back. What is the same everywhere is not in this table: text,
files and JSON in and out, streams that come chunk by chunk, failures with their message and what was streamed before
them, cancels, deadlines for the wait and for the run, predictions at once up to the worker's slots, and wrong inputs
that are refused by name before they are sent. What differs is in it, and the suite asserts that, too.
"""

_AFTER = """\
`replicate:` and `replicate-deployment:` speak the API that the gateway serves; Replicate itself is not asked here.
Vertex AI and SageMaker cancel as far as they pass on that the client has hung up: the small servers in front of the
containers do. This page is made by `python -m tests.client.capabilities > docs/homes.md`.
"""


def table() -> str:
    """The homes as a table of Markdown, one column each."""
    lines = [["", *HOMES], ["---"] * (len(HOMES) + 1)]
    lines += [[title, *(cell(home) for home in HOMES.values())] for title, cell in _ROWS]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def page() -> str:
    """docs/homes.md."""
    return f"{_BEFORE}\n{table()}\n{_AFTER}"


if __name__ == "__main__":
    print(page(), end="")
