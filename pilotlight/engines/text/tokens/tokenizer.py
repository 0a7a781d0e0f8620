"""A model folder's tokenizer, read from ``tokenizer.json`` by the tokenizers package, without transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from pilotlight.engines.text.tokens.chat_template import ChatTemplate, Message, find_template
from pilotlight.engines.text.tokens.tokenizer_files import TokenizerFiles, read_tokenizer_files
from pilotlight.engines.text.types import TokenCodec
from pilotlight.errors import WeightsError

__all__ = ["BackendTokens", "TokenizerCodec", "answer_ends"]

REPLACEMENT_BYTES = "\ufffd".encode()


class BackendTokens:
    """The tokens of a tokenizer of the tokenizers package.

    Args:
        tokenizer: with all added tokens; it is told neither to pad nor to cut texts.
        bos_token: the token that begins a text, if it has one.
    """

    def __init__(self, tokenizer: Tokenizer, bos_token: str | None) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._bos_id = None if bos_token is None else self.token_id(bos_token)

    @cached_property
    def longest_token_chars(self) -> int:
        return max((len(token) for token in self._tokenizer.get_vocab()), default=1)

    @cached_property
    def special(self) -> Mapping[int, str]:
        added = self._tokenizer.get_added_tokens_decoder()
        return {number: token.content for number, token in added.items() if token.special}

    def token_id(self, token: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special_tokens).ids
        if special_tokens and self._adds_bos and ids[:2] == [self._bos_id] * 2:
            return ids[1:]  # the text has the token itself, and so it would come twice
        return ids

    def framed(self, text: str, pair: str | None = None) -> tuple[list[int], list[int]]:
        """Return the tokens of a text or a pair with the special ones, and the token type of each."""
        found = self._tokenizer.encode(text, pair)
        return list(found.ids), list(found.type_ids)

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def ends_whole(self, ids: Sequence[int]) -> bool:
        end = b""
        for token in reversed(ids):
            if len(end) >= len(REPLACEMENT_BYTES):
                break
            end = self._bytes_of(token) + end
        return end.endswith(REPLACEMENT_BYTES)

    @cached_property
    def _adds_bos(self) -> bool:
        ids = self._tokenizer.encode("", add_special_tokens=True).ids
        return self._bos_id is not None and ids[:1] == [self._bos_id]

    @cached_property
    def _byte_letters(self) -> Mapping[str, int]:
        """The letters that stand for bytes in the tokens of a byte-level tokenizer; empty for others."""
        decoder = self._tokenizer.decoder
        state = json.loads(decoder.__getstate__()) if decoder is not None else {}
        steps = state.get("decoders", [state])
        return byte_letters() if any(step.get("type") == "ByteLevel" for step in steps) else {}

    def _bytes_of(self, number: int) -> bytes:
        token: str = self._tokenizer.id_to_token(number) or ""
        if self._byte_letters and number not in self._added:
            return bytes(self._byte_letters.get(letter, ord("?")) for letter in token)
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return bytes.fromhex(token[3:5])
        return token.encode()

    @cached_property
    def _added(self) -> frozenset[int]:
        return frozenset(self._tokenizer.get_added_tokens_decoder())


class TokenizerCodec:
    """The tokenizer in ``folder`` as a TokenCodec.

    Raises:
        WeightsError: there is no ``tokenizer.json``, or a file of the tokenizer is damaged.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise WeightsError(f"{path} is missing: without it only the torch engine can read this model's tokenizer")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises bare Exception
            raise WeightsError(f"{path} cannot be read as a tokenizer: {error}") from error
        self._folder = folder
        self._files = read_tokenizer_files(folder)
        _add_tokens(tokenizer, self._files)
        self._tokens = BackendTokens(tokenizer, self._files.names.get("bos_token"))

    @property
    def longest_token_chars(self) -> int:
        return self._tokens.longest_token_chars

    @property
    def special(self) -> Mapping[int, str]:
        return self._tokens.special

    @property
    def names(self) -> Mapping[str, str]:
        """The tokens with a name, such as ``eos_token``."""
        return self._files.names

    @property
    def answer_ends(self) -> tuple[int, ...]:
        return answer_ends(self, self.chat_template)

    def token_id(self, token: str) -> int | None:
        return self._tokens.token_id(token)

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        return self._tokens.encode(text, special_tokens=special_tokens)

    def framed(self, text: str, pair: str | None = None) -> tuple[list[int], list[int]]:
        """Return the tokens of a text or a pair with the special ones, and the token type of each."""
        return self._tokens.framed(text, pair)

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokens.decode(ids)

    def ends_whole(self, ids: Sequence[int]) -> bool:
        return self._tokens.ends_whole(ids)

    def apply_chat_template(
        self, messages: Sequence[Message], *, continue_last: bool = False, input_name: str = "messages"
    ) -> str | None:
        if self.chat_template is None:
            return None
        return self.chat_template.render(messages, continue_last=continue_last, input_name=input_name)

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """The model's chat template; ``None`` where it has none."""
        source = find_template(self._folder, self._files.config)
        return None if source is None else ChatTemplate(source, self._files.names)


def byte_letters() -> dict[str, int]:
    """Return which letter stands for which byte in a byte-level vocabulary, as GPT-2 defined it."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}


def answer_ends(codec: TokenCodec, template: ChatTemplate | None) -> tuple[int, ...]:
    """Return the special tokens that the template writes after an answer, in their order."""
    if template is None:
        return ()
    ids = codec.encode(template.text_after_answer, special_tokens=False)
    return tuple(token for token in ids if token in codec.special)


def _add_tokens(tokenizer: Tokenizer, files: TokenizerFiles) -> None:
    """Add the tokens that ``tokenizer.json`` lacks or has with other flags."""
    present = tokenizer.get_added_tokens_decoder()
    numbered = {**{n: token for n, token in files.older.items() if n not in present}, **files.added}
    tokens = [numbered[number] for number in sorted(numbered)]
    texts = {token.content for token in (*present.values(), *tokens)}
    for token in files.special:
        if token.content not in texts:
            texts.add(token.content)
            tokens.append(token)
    known = {repr(token) for token in present.values()}
    if missing := [token for token in tokens if repr(token) not in known]:
        tokenizer.add_tokens(missing)
