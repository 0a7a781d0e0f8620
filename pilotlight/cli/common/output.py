"""Shows a prediction's output on the terminal or writes it to files, as ``cog predict`` does, but streaming."""

from __future__ import annotations

import base64
import json
import mimetypes
import urllib.parse
from pathlib import Path
from typing import Any

import click

from pilotlight.cli.common.echo import echo_foreign
from pilotlight.errors import UsageError
from pilotlight.runtime.predictor_schema import OutputKind
from pilotlight.types import Prediction


class Printer:
    """Shows one prediction.

    Args:
        kind: of its output.
        path: the file or folder of ``-o``; ``None`` for the terminal, or ``output.<ext>`` for files.

    Raises:
        UsageError: the folder to write to does not exist.
    """

    def __init__(self, kind: OutputKind, path: Path | None) -> None:
        self._kind = kind
        self._path = _writable(path)
        self._text: list[str] = []

    def chunk(self, chunk: Any) -> None:
        """Show the next chunk."""
        if self._kind is OutputKind.TEXT:
            self._write(chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False))
        elif self._kind is OutputKind.LINES:
            self._write(json.dumps(chunk, ensure_ascii=False) + "\n")

    def end_line(self) -> None:
        """Move the cursor to the start of a line, if a chunk has left it elsewhere."""
        if self._path is None and self._text and not self._text[-1].endswith("\n"):
            click.echo()

    def finish(self, prediction: Prediction) -> None:
        """Show the rest of a prediction that has succeeded."""
        if self._kind in (OutputKind.FILE, OutputKind.FILES):
            _save_all(prediction.output, self._path)
        elif self._kind is OutputKind.JSON:
            self._write(json.dumps(prediction.output, ensure_ascii=False, indent=2) + "\n")
        if self._path is not None and self._kind not in (OutputKind.FILE, OutputKind.FILES):
            self._path.write_text("".join(self._text), encoding="utf-8")
            click.echo(f"Written output to: {self._path}", err=True)

    def finish_json(self, prediction: Prediction) -> None:
        """Show the whole prediction as one JSON object, with the paths of saved files in place of their contents."""
        saved = self._kind in (OutputKind.FILE, OutputKind.FILES) and prediction.output is not None
        # The name without its extension, which is that of the JSON; each file gets the extension of its type.
        stem = self._path.with_suffix("") if self._path is not None else None
        document = {
            "id": prediction.id,
            "status": prediction.status,
            "output": _save_all(prediction.output, stem) if saved else prediction.output,
            "error": prediction.error,
            "logs": prediction.logs,
            "metrics": prediction.metrics,
        }
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        if self._path is None:
            echo_foreign(text, nl=False)
        else:
            path = self._path.with_suffix(".json") if saved else self._path
            path.write_text(text, encoding="utf-8")
            click.echo(f"Written output to: {path}", err=True)

    def _write(self, text: str) -> None:
        self._text.append(text)
        if self._path is None:
            echo_foreign(text, nl=False)


def _writable(path: Path | None) -> Path | None:
    if path is None:
        return None
    path = path.expanduser()
    if path.is_dir():
        path /= "output"
    if not path.parent.is_dir():
        raise UsageError(f"-o {path}: there is no folder {path.parent}; create it or choose another")
    return path


def _save_all(output: Any, path: Path | None) -> Any:
    """Save every data: URL to a file; return the output with paths in their place."""
    if isinstance(output, list):
        return [_save(item, path, f".{index}") for index, item in enumerate(output)]
    return _save(output, path, "")


def _save(output: Any, path: Path | None, number: str) -> Any:
    """Save a data: URL to a file and return its path; any other value is printed."""
    if not isinstance(output, str) or not output.startswith("data:"):
        echo_foreign(output if isinstance(output, str) else json.dumps(output, ensure_ascii=False))
        return output
    head, _, content = output.removeprefix("data:").partition(",")
    data = base64.b64decode(content) if head.endswith(";base64") else urllib.parse.unquote_to_bytes(content)
    target = path or Path("output")
    suffix = target.suffix or mimetypes.guess_extension(head.partition(";")[0]) or ".bin"
    target = target.with_name(f"{target.stem}{number}{suffix}")
    target.write_bytes(data)
    click.echo(f"Written output to: {target}", err=True)
    return str(target)
