"""Options and helpers shared by the subcommands of ``pilotlight bench`` that run projects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import click
from rich.console import Console, RenderableType

from pilotlight.bench.harness.documents import Document, write_document
from pilotlight.cli.common.values import inputs_from_flags
from pilotlight.errors import UsageError
from pilotlight.runtime.example_inputs import complete_inputs
from pilotlight.runtime.predictor_schema import PredictorSchema

__all__ = [
    "OutFile",
    "input_option",
    "json_option",
    "make_inputs",
    "out_option",
    "page_cache_option",
    "projects_argument",
    "seed_option",
    "shows",
    "timeout_option",
]

D = TypeVar("D", bound=Document)
F = TypeVar("F", bound=Callable[..., Any])

projects_argument = click.argument("projects", nargs=-1, metavar="[PROJECT]...", type=click.Path(path_type=Path))
seed_option = click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the random order and of resampling."
)
input_option = click.option(
    "-i",
    "--input",
    "flags",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input of the predictions. Required inputs that are not given get a placeholder.",
)
timeout_option = click.option(
    "--timeout",
    "predict_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds for a prediction.",
)
page_cache_option = click.option(
    "--page-cache",
    type=click.Choice(["hot", "dropped"]),
    default="hot",
    show_default=True,
    help="Whether the files that a start reads are in the page cache.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of tables.")


def out_option(kind: str) -> Callable[[F], F]:
    """``--out``, whose default is named after the kind of result and the time: see ``OutFile``."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path, dir_okay=False),
        show_default=f"bench-{kind}-<time>.json",
        help="Where to write the result. It is updated after every process.",
    )


class OutFile(Generic[D]):
    """The file of a result; ``saved`` is what it holds.

    Args:
        path: as given with ``--out``.
        kind: of the result, for the name of the file where none was given.

    Raises:
        UsageError: there is no folder for it.
    """

    def __init__(self, path: Path | None, kind: str) -> None:
        self.path = path or Path(f"bench-{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json")
        if not self.path.parent.is_dir():
            raise UsageError(f"--out {self.path}: there is no folder {self.path.parent}; create it or choose another")
        self.saved: D | None = None

    def save(self, result: D) -> None:
        """Writes it, in place of what was there."""
        write_document(result, self.path)
        self.saved = result

    def fill(self, run: Callable[[], D], show: Callable[[D], None], what: str) -> D:
        """Runs, shows the result and says where it is; what there is of it when the run is interrupted.

        Args:
            run: saves here while it runs.
            show: prints a result on stdout.
            what: an interrupted result holds some of: ``starts``.
        """
        try:
            result = run()
        except KeyboardInterrupt:
            if self.saved is not None:
                show(self.saved)
                click.echo(f"The {what} so far are in {self.path}", err=True)
            raise
        show(result)
        click.echo(f"Written to: {self.path}", err=True)
        return result


def shows(report: Callable[[D], RenderableType], *, as_json: bool) -> Callable[[D], None]:
    """Prints a result on stdout, as JSON or as its report."""

    def show(result: D) -> None:
        if as_json:
            click.echo(result.model_dump_json(indent=1))
        else:
            Console().print(report(result))

    return show


def make_inputs(flags: tuple[str, ...], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given, converted by the schema, and placeholders for the rest that is required."""
    schema = PredictorSchema.of(document)
    return complete_inputs(schema, inputs_from_flags(flags, schema, complete=False))
