"""Callers of a gateway under torment, the receiver of their webhooks, and what they were told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

TERMINAL = ("succeeded", "failed", "canceled")
_ANSWER_S = 120.0


@dataclass(slots=True)
class Ledger:
    """What callers were told, and what happened.

    Attributes:
        accepted: model by the id of each prediction that a caller has an answer for.
        ended: the terminal states that anybody was told, by id.
        hooked: ids of accepted predictions with a webhook.
        hooks: statuses of the webhooks received, by id.
        events: how often what happened.
        violations: in words.
    """

    accepted: dict[str, str] = field(default_factory=dict)
    ended: dict[str, set[str]] = field(default_factory=dict)
    hooked: set[str] = field(default_factory=set)
    hooks: dict[str, list[str]] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def saw(self, prediction: dict[str, Any]) -> str:
        """Takes what the gateway says of a prediction; returns its status."""
        status: str = prediction["status"]
        if status in TERMINAL:
            self.ended.setdefault(prediction["id"], set()).add(status)
        return status


@contextlib.asynccontextmanager
async def receiver(ledger: Ledger, chance: random.Random) -> AsyncIterator[str]:
    """The URL of a webhook receiver whose first two answers for a prediction are often failures."""
    asked: Counter[str] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next(line for line in head.splitlines() if line.startswith("content-length:"))
            prediction = json.loads(await reader.readexactly(int(length.partition(":")[2])))
            asked[prediction["id"]] += 1
            fails = asked[prediction["id"]] <= 2 and chance.random() < 0.4
            if not fails:
                ledger.hooks.setdefault(prediction["id"], []).append(ledger.saw(prediction))
            ledger.events["webhook refused" if fails else "webhook taken"] += 1
            if not fails or chance.random() < 0.5:
                status = "500 No" if fails else "200 OK"
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


class Caller:
    """Sends one prediction after the other, each in one of the ways that callers have."""

    WAYS = ("wait", "poll", "stream", "cancel", "vanish", "plain")

    def __init__(self, url: str, ledger: Ledger, chance: random.Random, hook: str) -> None:
        self.ledger, self.chance, self.hook = ledger, chance, hook
        self.http = httpx2.AsyncClient(base_url=url, trust_env=False, timeout=_ANSWER_S)

    async def call(self) -> None:
        """One prediction, until somebody has been asked for it: refused callers come again."""
        way = self.chance.choice(self.WAYS)
        while True:
            try:
                if await self._try(way):
                    self.ledger.events[f"way {way}"] += 1
                    return
            except (httpx2.TransportError, TimeoutError) as error:
                # Sent or not: whoever got no answer does not know, and does not ask twice.
                self.ledger.events[f"no answer: {type(error).__name__}"] += 1
                if not isinstance(error, httpx2.ConnectError):
                    return
            await asyncio.sleep(0.05 + self.chance.random() / 10)

    async def _try(self, way: str) -> bool:
        """Whether it was answered; ``False`` when it was refused and may come again."""
        model, inputs = self._draw()
        if way == "plain" and model == "run_text":  # whose are the plain routes
            return self._answered(await self.http.post("/predict", json={"input": inputs}), model)
        body: dict[str, Any] = {"input": inputs}
        if hooked := self.chance.random() < 0.3:
            body |= {"webhook": self.hook, "webhook_events_filter": ["completed"]}
        headers = {"Prefer": "wait=60"} if way in ("wait", "vanish") else {}
        limit_s = self.chance.random() / 2 if way == "vanish" else None
        try:
            async with asyncio.timeout(limit_s):
                answer = await self.http.post(f"/v1/models/local/{model}/predictions", json=body, headers=headers)
        except TimeoutError:
            return True
        if not self._answered(answer, model):
            return False
        prediction = answer.json()
        if hooked:
            self.ledger.hooked.add(prediction["id"])
        if way == "stream":
            async with self.http.stream("GET", prediction["urls"]["stream"]) as stream:
                async for _ in stream.aiter_bytes():
                    pass
        elif way == "cancel":
            await asyncio.sleep(self.chance.random() / 5)
            self._answered(await self.http.post(prediction["urls"]["cancel"]), model)
        return True

    def _draw(self) -> tuple[str, dict[str, Any]]:
        if self.chance.random() < 0.3:
            return "load_tiny", {"number": self.chance.randrange(100)}
        mode = self.chance.choices(("echo", "raise", "die"), (90, 7, 3))[0]
        count = self.chance.randrange(6)
        return "run_text", {"prompt": "é\n", "mode": mode, "count": count, "pause_s": self.chance.random() / 20}

    def _answered(self, answer: httpx2.Response, model: str) -> bool:
        if answer.status_code in (429, 503):
            self.ledger.events[f"refused with {answer.status_code}"] += 1
            return False
        if answer.status_code not in (200, 201, 202):
            self.ledger.violations.append(f"a caller was answered {answer.status_code}: {answer.text[:200]}")
            return True
        prediction = answer.json()
        self.ledger.accepted[prediction["id"]] = model
        self.ledger.saw(prediction)
        return True
