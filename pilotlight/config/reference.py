"""The page of all settings, ``docs/reference/settings.md``, made from the table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pilotlight.config.variables import VARIABLES, Variable

_HEAD = """\
<!-- Generated from pilotlight/config/variables.py; change the table there. -->
# Settings

Every environment variable that pilotlight reads. A variable that is empty counts as not set. Command-line options win
over variables. A value that is not allowed ends the program with a message that names the variable, the value and what
is allowed; a variable that begins with `PILOTLIGHT_` and is not listed here causes a warning with the closest name.

To set a variable for a predictor, give it to the command that starts it, such as
`pilotlight predict -e PILOTLIGHT_ENGINE=torch`, or write it into `environment:` of `cog.yaml`.
"""

# Title of a section, and the readers whose variables it has.
_SECTIONS = (
    ("Predictors", ("predictor",)),
    ("Commands, gateway and client", ("gateway", "gateway, client", "commands that call a gateway", "export")),
    ("`pilotlight serve`", ("pilotlight serve",)),
    ("Scripts of the repository", ("scripts",)),
)

# Variables of other programs' making that pilotlight reads: name, what for, reader.
OTHERS = (
    ("COG_MAX_CONCURRENCY", "how many predictions Cog sends at once: the default of `PILOTLIGHT_SLOTS`", "predictor"),
    ("HF_ENDPOINT", "the Hugging Face Hub's address", "download of models"),
    ("HF_TOKEN", "the token for models that are not public", "download of models"),
    ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "whether to leave the token on disk unused", "download of models"),
    ("HF_HUB_CACHE", "the Hub's cache; by default `hub` in `HF_HOME`", "search for models"),
    ("HF_HOME", "the folder of the Hub's cache; by default in `XDG_CACHE_HOME`", "search for models"),
    ("HF_HUB_OFFLINE", "forbids downloads", "search for models"),
    ("TRANSFORMERS_OFFLINE", "forbids downloads", "search for models"),
    ("XDG_CACHE_HOME", "the folder of caches; by default `~/.cache`", "search for models, export"),
    ("COG_LOG_LEVEL", "what the Cog server prints", "every command that starts a Cog server"),
    ("PORT", "the port to listen on", "`pilotlight serve`"),
    ("AIP_HTTP_PORT", "the port to listen on", "`pilotlight serve --on vertex`"),
    ("AIP_HEALTH_ROUTE", "the path of the health check", "`pilotlight serve --on vertex`"),
    ("AIP_PREDICT_ROUTE", "the path of predictions", "`pilotlight serve --on vertex`"),
    ("SAGEMAKER_BIND_TO_PORT", "the port to listen on", "`pilotlight serve --on sagemaker`"),
    ("RAY_AUTH_TOKEN", "the cluster's token; without one, a random one", "`pilotlight serve --on ray`"),
    ("REPLICATE_API_TOKEN", "the token of `replicate:` targets", "client"),
    ("REPLICATE_BASE_URL", "the address of Replicate's API, or of a gateway", "client"),
    ("RUNPOD_API_KEY", "the token of `runpod:` targets", "client"),
    ("CLOUDSDK_AUTH_ACCESS_TOKEN", "the token of `vertex:` targets", "client"),
)


def settings_reference() -> str:
    """Return the page as Markdown, with a newline at its end."""
    parts = [_HEAD]
    for title, readers in _SECTIONS:
        chosen = [variable for variable in VARIABLES if variable.reader in readers]
        parts += [f"\n## {title}\n\n", _table(chosen)]
    parts += [
        "\n## Set by pilotlight itself\n\n",
        "For processes that it starts to measure or to examine them; nobody else needs to set them.\n\n",
        _table(variable for variable in VARIABLES if variable.internal),
        "\n## Variables of other programs\n\n",
        "| Variable | What it says | Read by |\n| --- | --- | --- |\n",
        *(f"| `{name}` | {about} | {reader} |\n" for name, about, reader in OTHERS),
    ]
    return "".join(parts)


def _table(variables: Iterable[Variable[object]]) -> str:
    rows = [
        f"| `{one.name}` | {one.about} | {one.expected}{f' ({one.unit})' if one.unit else ''} | {_default(one)} | "
        f"{one.reader} |\n"
        for one in variables
    ]
    return "| Variable | What it does | Allowed | Default | Read by |\n| --- | --- | --- | --- | --- |\n" + "".join(
        rows
    )


def _default(variable: Variable[object]) -> str:
    if variable.shown:
        return variable.shown
    value = variable.default
    if isinstance(value, bool):
        return f"`{int(value)}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value.as_posix() if isinstance(value, Path) else value}`"
