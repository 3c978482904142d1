"""The bytes that each token of a vocabulary stands for, and which of them a text goes on with."""

import re
from functools import cached_property

from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.text_encoder import SPACE_MARK

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class TokenBytes:
    """What each plain token of a tokenizer writes, as UTF-8.

    Byte-fallback and byte-level vocabularies have tokens that are parts of a character, so that bytes and not
    characters are counted. Control tokens write nothing here.

    Args:
        tokenizer: a fast tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    @cached_property
    def by_id(self) -> dict[int, bytes]:
        """The bytes of each token that writes any, by its id."""
        vocabulary = self._tokenizer.get_vocab()
        # Others that were added, as Gemma's line breaks and runs of spaces, are text.
        apart = {number for number, token in self._tokenizer.added_tokens_decoder.items() if token.special}
        of_byte_level = _byte_level() if self._has_byte_level else None
        found = {}
        for token, token_id in vocabulary.items():
            if token_id not in apart and (written := _written(token, of_byte_level)):
                found[token_id] = written
        return found

    @cached_property
    def by_bytes(self) -> dict[bytes, list[int]]:
        """The ids of the tokens that write these bytes."""
        found: dict[bytes, list[int]] = {}
        for token_id, written in self.by_id.items():
            found.setdefault(written, []).append(token_id)
        return found

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return max(map(len, self.by_bytes), default=0)

    def continuations(self, text: bytes, start: int) -> list[tuple[int, int]]:
        """The tokens that ``text`` can go on with at ``start``, each with the place where it ends."""
        ends = range(start + 1, min(start + self.longest, len(text)) + 1)
        return [(one, end) for end in ends for one in self.by_bytes.get(text[start:end], ())]

    @property
    def _has_byte_level(self) -> bool:
        return "ByteLevel" in repr(self._tokenizer.backend_tokenizer.decoder)


def _written(token: str, of_byte_level: dict[str, int] | None) -> bytes | None:
    """What a token writes; None for one that a byte-level vocabulary cannot spell."""
    if of_byte_level is not None:
        values = [of_byte_level.get(sign, -1) for sign in token]
        return None if -1 in values else bytes(values)
    if match := _BYTE.fullmatch(token):
        return bytes([int(match[1], 16)])
    return token.replace(SPACE_MARK, " ").encode()


def _byte_level() -> dict[str, int]:
    """The byte behind each sign of a byte-level vocabulary: printable Latin-1 is itself, the rest follows U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
