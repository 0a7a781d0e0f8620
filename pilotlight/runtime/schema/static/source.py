"""A source file as text and as a tree, with what the tree alone does not say: parentheses, comments, spelling."""

from __future__ import annotations

import ast
import bisect
import io
import tokenize
from functools import cached_property
from pathlib import PurePosixPath

from pilotlight.runtime.schema.static.errors import BuildRefusedError, UnknownSyntaxError

_LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENCODING}
Span = tuple[int, int]


class SourceFile:
    """One Python file.

    Attributes:
        path: its place in the project.
        tree: its syntax tree.

    Raises:
        UnknownSyntaxError: it is not valid for the running Python.
    """

    def __init__(self, path: PurePosixPath, text: str) -> None:
        self.path = path
        # The tree and the tokens count lines alike only where a line ends in one way.
        self._text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
        try:
            self.tree = ast.parse(self._text)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            message = getattr(error, "msg", None) or str(error)
            raise UnknownSyntaxError(
                f"{path}:{line}: {message}; correct it, or give the Python that it is written for with --python"
            ) from error
        self._lines = self._text.split("\n")
        self._starts = [0]
        for line_text in self._lines:
            self._starts.append(self._starts[-1] + len(line_text) + 1)

    def refuse(self, node: ast.AST, problem: str) -> BuildRefusedError:
        """Return the refusal of the code at ``node``."""
        return BuildRefusedError(problem, file=str(self.path), line=getattr(node, "lineno", 0))

    def text_of(self, node: ast.AST) -> str:
        """Return the code of ``node`` as it is written."""
        start, end = self.span(node)
        return self._text[start:end]

    def span(self, node: ast.AST) -> Span:
        """Return where the code of ``node`` begins and ends in the text."""
        first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", 1)
        return (
            self._offset(first, getattr(node, "col_offset", 0)),
            self._offset(last, getattr(node, "end_col_offset", 0)),
        )

    def is_parenthesised(self, node: ast.expr, *, sole_argument: bool = False) -> bool:
        """Whether ``node`` stands in parentheses of its own; those of a call around its ``sole_argument`` are not."""
        start, end = self.span(node)
        # The character before it tells this of most nodes, without the tokens of the whole file.
        before_it = start - 1
        while before_it >= 0 and self._text[before_it] == " ":
            before_it -= 1
        if before_it < 0 or self._text[before_it] not in "(\n\t\f\\":
            return False
        needed = 2 if sole_argument else 1
        before, after = self._neighbours(start, end)
        return before[-needed:] == ["("] * needed and after[:needed] == [")"] * needed

    def is_in_pieces(self, node: ast.expr) -> bool:
        """Whether ``node`` is a string of several literals, which Python joins."""
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            return False
        start, end = self.span(node)
        places = self._places
        return bisect.bisect_left(places, end) - bisect.bisect_left(places, start) > 1

    def has_comment_between(self, node: ast.expr, parts: list[ast.expr]) -> bool:
        """Whether a comment stands within ``node`` but in none of its ``parts``."""
        start, end = self.span(node)
        inner = [self.span(part) for part in parts]
        return any(
            start < comment < end and not any(first < comment < last for first, last in inner)
            for comment in self._comments
        )

    def _offset(self, line: int, column_bytes: int) -> int:
        line_text = self._lines[line - 1]
        if line_text.isascii():
            return self._starts[line - 1] + column_bytes
        return self._starts[line - 1] + len(line_text.encode()[:column_bytes].decode())

    def _neighbours(self, start: int, end: int) -> tuple[list[str], list[str]]:
        """Return the two tokens before and the two after a place."""
        places = self._places
        first, last = bisect.bisect_left(places, start), bisect.bisect_left(places, end)
        texts = [text for _, text in self._tokens[max(first - 2, 0) : first]]
        return texts, [text for _, text in self._tokens[last : last + 2]]

    @cached_property
    def _all_tokens(self) -> list[tuple[int, int, str]]:
        found = []
        try:
            for token in tokenize.generate_tokens(io.StringIO(self._text).readline):
                row, column = token.start
                if row <= len(self._lines):
                    found.append((token.type, self._starts[row - 1] + column, token.string))
        except (tokenize.TokenError, SyntaxError):  # the tree is there, so what was read so far is what matters
            pass
        return found

    @cached_property
    def _tokens(self) -> list[tuple[int, str]]:
        return [(at, text) for kind, at, text in self._all_tokens if kind not in _LAYOUT]

    @cached_property
    def _places(self) -> list[int]:
        return [at for at, _ in self._tokens]

    @cached_property
    def _comments(self) -> list[int]:
        return [at for kind, at, _ in self._all_tokens if kind == tokenize.COMMENT]
