"""Examples of how to use this gateway: commands and code that work here unchanged. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.gateway.registry.versions import Version
from pilotlight.runtime.example_inputs import example_input


@dataclass(frozen=True, slots=True)
class Example:
    """Blocks of commands or code under a title."""

    title: str
    blocks: tuple[str, ...]


def usage_examples(versions: Sequence[Version], base: str, *, token: bool) -> list[Example]:
    """Return examples for the first of ``versions``, and for the first that completes text.

    Args:
        versions: what is served.
        base: the URL of the gateway.
        token: whether callers have to send a token.
    """
    if not versions:
        return []
    first = versions[0]
    body = {"input": example_input(first.schema)}
    python = f"""import replicate

print(replicate.run({first.model!r}, input={body["input"]!r}))"""
    environment = f"REPLICATE_BASE_URL={base} REPLICATE_API_TOKEN={'$TOKEN' if token else 'any'} python example.py"
    create = _curl(f"{base}/v1/models/{first.model}/predictions", body, "Prefer: wait", token=token)
    text = next((version for version in versions if version.schema.completes_text), None)
    return [
        Example("One prediction", (_curl(f"{base}/predict", body, token=token),)),
        Example("Replicate's API: create, and wait for up to a minute", (create,)),
        Example("Replicate's client, unchanged", (python, environment)),
        *([] if text is None else _openai(text, base, token=token)),
        Example("Watch", (f"pilotlight top --url {base}", f"pilotlight logs --url {base} -f")),
    ]


def _openai(version: Version, base: str, *, token: bool) -> list[Example]:
    chat = "prompt" not in version.schema.inputs
    asked = {"messages": [{"role": "user", "content": "Hello"}]} if chat else {"prompt": "Hello"}
    url = f"{base}/openai/v1/{'chat/' if chat else ''}completions"
    stream = _curl(url, {"model": version.model, **asked, "stream": True}, token=token)
    client = f"""from openai import OpenAI

client = OpenAI(base_url="{base}/openai/v1", api_key="{"..." if token else "any"}")"""
    return [
        Example("OpenAI's API, streaming", (stream.replace("curl -s", "curl -sN", 1),)),
        Example("OpenAI's client", (client,)),
    ]


def _curl(url: str, body: dict[str, Any], *headers: str, token: bool) -> str:
    lines = [f"curl -s {shlex.quote(url)}"]
    if token:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    lines += [f"-H {shlex.quote(header)}" for header in ("Content-Type: application/json", *headers)]
    lines.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return " \\\n     ".join(lines)
