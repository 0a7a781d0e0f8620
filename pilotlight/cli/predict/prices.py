"""``pilotlight prices``: shows hardware prices of each platform, from the price file of this release."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import click
from rich import box
from rich.console import Console
from rich.table import Table

from pilotlight.errors import UsageError
from pilotlight.prices import Prices, Tariff, load_prices

_EXAMPLES = """\b
Examples:
  pilotlight prices
  pilotlight prices runpod --json
"""


@click.command("prices", epilog=_EXAMPLES)
@click.argument("platforms", nargs=-1, metavar="[PLATFORM]...")
@click.option("--json", "as_json", is_flag=True, help="Print them as one JSON object.")
def command(platforms: tuple[str, ...], as_json: bool) -> None:
    """Show what hardware costs on each PLATFORM (default: all), what is billed, and how old the figures are."""
    prices = load_prices()
    unknown = [platform for platform in platforms if platform not in prices.tariffs]
    if unknown:
        raise UsageError(f"no prices for {unknown[0]!r}; known are {', '.join(prices.tariffs)}")
    chosen = [tariff for platform, tariff in prices.tariffs.items() if not platforms or platform in platforms]
    if as_json:
        click.echo(json.dumps(_document(prices, chosen), indent=2))
    else:
        _show(chosen)
    if (warning := _staleness(prices, datetime.now(UTC).date())) is not None:
        click.echo(warning, err=True)


def _show(tariffs: list[Tariff]) -> None:
    console = Console()
    for tariff in tariffs:
        rounded = f", rounded up to {tariff.granularity_s:g} s" if tariff.granularity_s else ""
        billed = " and ".join(part.replace("_", " ") for part in tariff.billed)
        table = Table("hardware", box=box.SIMPLE, title=tariff.platform, title_justify="left", caption_justify="left")
        table.add_column("$ per second", justify="right")
        table.add_column("$ per hour", justify="right")
        for name, usd_per_s in tariff.usd_per_s.items():
            table.add_row(name, f"{usd_per_s:.6f}", f"{usd_per_s * 3600:.2f}")
        console.print(table)
        console.print(f"  billed: {billed}{rounded}; {tariff.note}", highlight=False)
        console.print(f"  source: {tariff.source}", highlight=False)
        console.print()


def _document(prices: Prices, tariffs: list[Tariff]) -> dict[str, object]:
    return {
        "as_of": prices.as_of.isoformat(),
        "platforms": {
            tariff.platform: {
                "source": tariff.source,
                "billed": list(tariff.billed),
                "granularity_s": tariff.granularity_s,
                "note": tariff.note,
                "usd_per_s": dict(tariff.usd_per_s),
            }
            for tariff in tariffs
        },
    }


def _staleness(prices: Prices, today: date) -> str | None:
    if not prices.stale(today):
        return None
    return f"These prices are of {prices.as_of}: check the sources before you rely on them."
