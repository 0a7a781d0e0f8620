"""How to use this gateway, as HTML: commands that work here as they stand, and its routes. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any

from pilotlight.gateway.api.openai.inputs import is_text, properties_of
from pilotlight.gateway.api.routing import RouteSpec
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.ui.examples import example_input


def render_docs(versions: Sequence[Version], base: str, routes: Sequence[RouteSpec], *, token: bool) -> str:
    """Examples for the first of ``versions``, at the address ``base``; with a token where one is asked for."""
    return f"<h2>Use it</h2>{_examples(versions, base, token=token)}<h2>Routes</h2>{_routes(routes)}"


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


def _routes(routes: Sequence[RouteSpec]) -> str:
    return "".join(
        f"<h3>{escape(group)}</h3>" + _group([route for route in routes if route.group == group and route.documented])
        for group in dict.fromkeys(route.group for route in routes if route.documented)
    )


def _group(routes: Sequence[RouteSpec]) -> str:
    rows = "".join(
        f'<div><dt><span class="method">{route.method}</span> <code>{escape(route.plain_path)}</code></dt>'
        f"<dd>{escape(route.summary)}</dd></div>"
        for route in routes
    )
    return f'<dl class="routes">{rows}</dl>'
