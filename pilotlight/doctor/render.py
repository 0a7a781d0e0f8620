"""Render the result of ``pilotlight doctor`` for a terminal, from the result alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pilotlight.doctor.findings import Severity
from pilotlight.doctor.results import Checked, DoctorResult, FindingInfo

__all__ = ["doctor_report"]

_STYLES = {Severity.HIGH: "bold red", Severity.MEDIUM: "bold yellow", Severity.LOW: "bold blue"}
_MEANINGS = {
    Severity.HIGH: "callers notice it",
    Severity.MEDIUM: "callers notice it under load, or it costs money",
    Severity.LOW: "upkeep",
}
_INDENT = (0, 0, 0, 2)


def doctor_report(result: DoctorResult) -> Group:
    """Return the findings (most severe first), the passed checks, those that could not be checked, and a verdict."""
    parts: list[RenderableType] = [*_headline(result)]
    for severity in Severity:
        found = [one for one in result.findings if one.severity is severity]
        if found:
            parts += ["", Text(f"{severity.upper()}: {_MEANINGS[severity]}", style=_STYLES[severity])]
            parts += [part for one in found for part in _finding(one)]
    parts += [*_lines("Passed", "green", "✓", result.passed)]
    parts += [*_lines("could not be checked", "yellow", "?", result.unclear)]
    return Group(*parts, "", _verdict(result))


def _headline(result: DoctorResult) -> Iterator[Text]:
    project, machine = result.projects[0], result.environment
    how = "read and run" if result.settings.ran else "read, not run"
    yield Text.assemble((project.name, "bold"), f": {how}")
    yield Text(f"{machine.cpu_model}, {machine.cores} cores, Python {machine.python}", style="dim")
    measured = result.measured
    if measured is not None and measured.busy:
        yield Text(
            f"the machine was busy (load {machine.load_1m:.1f} on {machine.cores} cores): "
            "checks that need a quiet machine are left open",
            style="yellow",
        )
    if measured is not None and measured.starts and project.inputs is not None:
        shown = ", ".join(f"{name}={_short(value)}" for name, value in project.inputs.items()) or "(none)"
        note = f"; made up: {', '.join(measured.made_up)}" if measured.made_up else ""
        yield Text(f"inputs: {shown}{note}", style="dim")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _finding(one: FindingInfo) -> Iterator[RenderableType]:
    number = f"mistake {one.mistake}, " if one.mistake is not None else ""
    title = Text.assemble((one.title, "bold"), (f"  {one.id} ({number}{one.how})", "dim"))
    yield Padding(title, (1, 0, 0, 0), expand=False)
    lines = [Text(line) for line in one.evidence]
    lines += [Text(one.why, style="italic"), Text.assemble(("change: ", "green"), one.change)]
    yield from (Padding(line, _INDENT, expand=False) for line in lines)
    yield Padding(Text(one.code, style="cyan"), (0, 0, 0, 10), expand=False)


def _lines(title: str, style: str, mark: str, checked: Sequence[Checked]) -> Iterator[RenderableType]:
    if not checked:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for one in checked:
        table.add_row(Text.assemble((mark, style), f" {one.id}"), Text(one.words, style="dim"))
    yield ""
    yield Text(title, style=style)
    yield table


def _verdict(result: DoctorResult) -> Text:
    count = len(result.findings)
    if not count:
        words = "nothing found" if not result.unclear else f"nothing found; {len(result.unclear)} could not be checked"
        return Text(words, style="bold green")
    ten = sorted({one.mistake for one in result.findings if one.mistake is not None})
    of_the_ten = f"; number {', '.join(map(str, ten))} of the ten common mistakes" if ten else ""
    return Text(f"{count} finding{'s' if count > 1 else ''}{of_the_ten}", style="bold red")
