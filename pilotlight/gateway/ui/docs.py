"""How to use this gateway, as HTML: commands that work here as they stand, and its routes. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any

from pilotlight.gateway.api.openai.inputs import is_text, properties_of
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.ui.examples import example_input

# (method, path as the application has it, what it does)
ROUTES = (
    ("POST", "/predict", "one prediction of the first project, answered when it has ended"),
    ("POST", "/predict/batch", "a list in, a list out; a bad item fails alone"),
    ("POST", "/v1/predictions", "a prediction by version, or by owner/name"),
    ("GET", "/v1/predictions", "all predictions, newest first, in pages"),
    ("GET", "/v1/predictions/{id}", "one prediction"),
    ("POST", "/v1/predictions/{id}/cancel", "cancels it"),
    ("GET", "/v1/models", "what is served"),
    ("GET", "/v1/models/{owner}/{name}", "a model, with the schema of its inputs"),
    ("POST", "/v1/models/{owner}/{name}/predictions", "a prediction of its latest version"),
    ("GET", "/v1/deployments", "deployments"),
    ("POST", "/v1/deployments/{owner}/{name}/predictions", "a prediction of a deployment"),
    ("POST", "/v1/files", "an upload, to be given as an input by its URL"),
    ("GET", "/openai/v1/models", "models that complete text"),
    ("POST", "/openai/v1/completions", "OpenAI's completions, streamed with stream: true"),
    ("POST", "/openai/v1/chat/completions", "OpenAI's chat completions"),
    ("GET", "/openapi.json", "all of these and more, for programs"),
    ("GET", "/health", "200 while it can serve"),
    ("GET", "/metrics", "for Prometheus"),
    ("GET", "/status", "what is above, as JSON"),
    ("GET", "/logs", "what workers and predictions print; follow=1 for more as it comes"),
)


def render_docs(versions: Sequence[Version], base: str, *, token: bool) -> str:
    """Examples for the first of ``versions``, at the address ``base``; with a token where one is asked for."""
    return f"<h2>Use it</h2>{_examples(versions, base, token=token)}<h2>Routes</h2>{_routes()}"


def _examples(versions: Sequence[Version], base: str, *, token: bool) -> str:
    if not versions:
        return '<p class="quiet">Once a model is served, examples for it are here.</p>'
    first = versions[0]
    text = next((version for version in versions if is_text(version.document)), None)
    body = {"input": example_input(first.document)}
    python = f"""import replicate

print(replicate.run({first.model!r}, input={body["input"]!r}))"""
    environment = f"REPLICATE_BASE_URL={base} REPLICATE_API_TOKEN={'$TOKEN' if token else 'any'} python example.py"
    parts = [
        _example("One prediction", _curl(f"{base}/predict", body, token=token)),
        _example(
            "Replicate's API: create, and wait for up to a minute",
            _curl(f"{base}/v1/models/{first.model}/predictions", body, "Prefer: wait", token=token),
        ),
        _example("Replicate's client, unchanged", python, environment),
    ]
    if text is not None:
        chat = "prompt" not in properties_of(text.document)
        asked = {"messages": [{"role": "user", "content": "Hello"}]} if chat else {"prompt": "Hello"}
        url = f"{base}/openai/v1/{'chat/' if chat else ''}completions"
        stream = _curl(url, {"model": text.model, **asked, "stream": True}, token=token)
        parts.append(_example("OpenAI's API, as it comes", stream.replace("curl -s", "curl -sN", 1)))
        openai = f"""from openai import OpenAI

client = OpenAI(base_url="{base}/openai/v1", api_key="{"..." if token else "any"}")"""
        parts.append(_example("OpenAI's client", openai))
    parts.append(_example("Watch", f"pilotlight top --url {base}", f"pilotlight logs --url {base} -f"))
    note = "<p>Set <code>TOKEN</code> to a token of this gateway first: <code>read -rs TOKEN</code>.</p>"
    return (note if token else "") + "".join(parts)


def _curl(url: str, body: dict[str, Any], *headers: str, token: bool) -> str:
    lines = [f"curl -s {shlex.quote(url)}"]
    if token:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    lines += [f"-H {shlex.quote(header)}" for header in ("Content-Type: application/json", *headers)]
    lines.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return " \\\n     ".join(lines)


def _example(title: str, *blocks: str) -> str:
    code = "".join(f'<pre tabindex="0"><code>{escape(block)}</code></pre>' for block in blocks)
    return f"<h3>{escape(title)}</h3>{code}"


def _routes() -> str:
    rows = "".join(
        f'<div><dt><span class="method">{method}</span> <code>{escape(path)}</code></dt><dd>{escape(what)}</dd></div>'
        for method, path, what in ROUTES
    )
    return f'<dl class="routes">{rows}</dl>'
