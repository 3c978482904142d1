"""A tokenizer for plain text alone: no text can become a control token, and ids decode to the byte."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from kqa_lightning.assets import TINY_BASES
from kqa_lightning.data.bases import locate_base, one_line
from kqa_lightning.errors import KQAError

SPACE_MARK = "▁"  # how SentencePiece vocabularies write a space; U+2581 in a text would decode to one


def load_tokenizer(base_model: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a bundled base model, a folder or a hub id; no remote code is run.

    Raises:
        KQAError: where there is none, or none of the fast kind; or as `locate_base`.
    """
    name = locate_base(base_model)
    folder = Path(name)
    if folder.is_dir() and not any((folder / file).exists() for file in ("config.json", "tokenizer.json")):
        raise KQAError(
            f"--model.base_model {base_model}: the folder has neither config.json nor tokenizer.json; name one with a"
            " model and its tokenizer in Hugging Face format"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # OSError, ValueError, KeyError, network errors: all mean the same to the user
        raise KQAError(
            f"--model.base_model {base_model}: its tokenizer cannot be loaded ({one_line(error)});"
            " offline, pass a folder with the model and its tokenizer, or one of those bundled:"
            f" {', '.join(TINY_BASES)}"
        ) from error
    if not tokenizer.is_fast:
        raise KQAError(f"--model.base_model {base_model}: a fast tokenizer (tokenizer.json) is needed")
    return tokenizer


class TextEncoder:
    """Text to ids and back by the vocabulary of ``tokenizer``, with nothing added to the text.

    The copy shares the vocabulary and its merges, and leaves out what would add or find something else than
    characters: added and special tokens, the post-processor, and the space SentencePiece models put first.

    Args:
        tokenizer: a fast tokenizer, which is left as it is.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        backend = tokenizer.backend_tokenizer
        self._tokenizer = Tokenizer(backend.model)
        # Added tokens outside the vocabulary, which it cannot name.
        added = tokenizer.added_tokens_decoder.items()
        self._names = {i: str(token) for i, token in added if self._tokenizer.id_to_token(i) is None}
        parts = _plain_parts(backend)
        for part in ("normalizer", "pre_tokenizer", "decoder"):
            setattr(self._tokenizer, part, getattr(parts, part))
        # Byte tokens of U+2581, where the vocabulary has them and takes the character for a space otherwise.
        mark = [self._tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in SPACE_MARK.encode()]
        lossy = None not in mark and self._decode(self._tokenizer.encode(SPACE_MARK).ids) != SPACE_MARK
        self._mark_ids = [one for one in mark if one is not None] if lossy else []

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text``."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [
            self._encode_marked(text) if self._mark_ids and SPACE_MARK in text else encoding.ids
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def token_starts(self, text: str) -> list[int]:
        """Return the character at which each token begins; bytes of one character begin together."""
        encoding: Encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [start for start, _ in encoding.offsets]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ``ids``; control and added tokens appear by their names."""
        text: list[str] = []
        run: list[int] = []
        for token_id in ids:
            if token_id in self._names:
                text += [self._decode(run), self._names[token_id]]
                run = []
            else:
                run.append(token_id)
        return "".join([*text, self._decode(run)])

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=False)

    def _encode_marked(self, text: str) -> list[int]:
        ids: list[int] = []
        for index, piece in enumerate(text.split(SPACE_MARK)):
            ids += self._mark_ids if index else []
            ids += self._tokenizer.encode(piece, add_special_tokens=False).ids
        return ids


def _plain_parts(backend: Tokenizer) -> Tokenizer:
    """Return a shell without vocabulary around the backend's normalizer, pre-tokenizer and decoder."""
    shell = Tokenizer(models.BPE())
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        if getattr(backend, part) is not None:
            setattr(shell, part, getattr(backend, part))
    settings = json.loads(shell.to_str())
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        settings[part] = _without_prefix_space(settings[part])
    return Tokenizer.from_str(json.dumps(settings))


def _without_prefix_space(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """Take out of a part's settings what puts a space before a text, and what takes it away again."""
    if part is None or part["type"] in ("Prepend", "Strip"):
        return None
    for steps in ("normalizers", "pretokenizers", "decoders"):
        if steps in part:
            part[steps] = [kept for step in part[steps] if (kept := _without_prefix_space(step))]
    if part["type"] == "Metaspace":
        part["prepend_scheme"] = "never"
    elif part["type"] == "ByteLevel":
        part["add_prefix_space"] = False
    return part
