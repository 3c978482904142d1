"""Control tokens: which of the tokenizer's a prompt means, and that no text is encoded as one."""

from collections.abc import Mapping, Sequence
from typing import cast

from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.prompts import BOS, EOS, Segment
from kqa_lightning.data.text_encoder import TextEncoder
from kqa_lightning.errors import KQAError


def token_name(segment: Segment, tokenizer: PreTrainedTokenizerBase) -> str:
    """What the tokenizer calls a control token; nothing where it has no such first or last one."""
    own = {BOS: tokenizer.bos_token, EOS: tokenizer.eos_token}
    return own.get(segment, segment.text) or ""


def find_controls(segments: Sequence[Segment], tokenizer: PreTrainedTokenizerBase, prompt: str) -> dict[str, int]:
    """Return the id of every control token among the segments of a prompt, by the segment's text.

    Args:
        segments: all that the prompt may consist of.
        tokenizer: whose tokens they are.
        prompt: what the prompt is called.

    Raises:
        KQAError: where the tokenizer lacks one.
    """
    controls: dict[str, int] = {}
    for segment in (one for one in segments if one.control):
        name = token_name(segment, tokenizer)
        token_id = cast(int | None, tokenizer.convert_tokens_to_ids(name)) if name else None
        if token_id is None or token_id == tokenizer.unk_token_id:
            raise KQAError(
                f"--data.prompt {prompt}: the tokenizer {tokenizer.name_or_path} has no control token"
                f" {segment.text!r}; choose the prompt of that base model's family"
            )
        controls[segment.text] = token_id
    return controls


def check_text_reaches_no_control(
    text: TextEncoder, controls: Mapping[str, int], tokenizer: PreTrainedTokenizerBase
) -> None:
    """Make sure that merges spell none of the template's control tokens and of those the tokenizer calls special.

    Raises:
        KQAError: where they spell one.
    """
    names = {str(tokenizer.convert_ids_to_tokens(control)) for control in controls.values()}
    # The unknown token is no control: what a vocabulary cannot spell becomes it.
    for name in names.union(tokenizer.all_special_tokens) - {tokenizer.unk_token}:
        if tokenizer.convert_tokens_to_ids(name) in text.encode(name):
            raise KQAError(
                f"the tokenizer {tokenizer.name_or_path} spells its control token {name!r} out of"
                " plain text, so an article could end an answer; use a tokenizer that keeps it apart"
            )
