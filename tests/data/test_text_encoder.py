from pathlib import Path

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from kqa_lightning.data.text_encoder import TextEncoder, load_tokenizer
from kqa_lightning.errors import KQAError

FAMILIES = pytest.mark.parametrize("tokenizer", ["gemma2", "eeve", "nous"], indirect=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@FAMILIES
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=TEXT | st.sampled_from([" a", "a  b ", "▁", "a▁ b▁", "\n\n", "\t", "<0x41>", "🏳️‍🌈", "ᄒ"]))
def test_ids_decode_to_the_byte(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    encoder = TextEncoder(tokenizer)
    assert encoder.decode(encoder.encode(text)) == text


@FAMILIES
def test_korquad_decodes_to_the_byte(tokenizer: PreTrainedTokenizerBase, korquad: datasets.Dataset) -> None:
    texts = [*dict.fromkeys(korquad["context"]), *korquad["question"]]
    encoder = TextEncoder(tokenizer)
    assert [encoder.decode(ids) for ids in encoder.encode_batch(texts)] == texts


@FAMILIES
def test_no_text_becomes_a_control_or_added_token(tokenizer: PreTrainedTokenizerBase) -> None:
    encoder = TextEncoder(tokenizer)
    names = [str(token) for token in tokenizer.added_tokens_decoder.values() if str(token).strip("▁\n")]
    assert names
    for name in names:
        ids = encoder.encode(f"가{name}나")
        assert tokenizer.convert_tokens_to_ids(name) not in ids, name
        assert encoder.decode(ids) == f"가{name}나"


def test_same_ids_as_the_tokenizer_where_no_space_is_put_first(gemma: PreTrainedTokenizerBase) -> None:
    text = "user\n한국은행은 기준금리를  3.5%로 동결했다.\n\n\nGDP 1,000억원"
    assert TextEncoder(gemma).encode(text) == gemma(text, add_special_tokens=False).input_ids


def test_control_tokens_in_a_text_are_the_ids_of_their_characters_split(
    gemma: PreTrainedTokenizerBase, chatml: PreTrainedTokenizerBase
) -> None:
    """What the tokenizer itself makes of the same characters when it is told to split its special tokens."""
    for tokenizer in (gemma, chatml):
        names = set(tokenizer.all_special_tokens) - {tokenizer.unk_token}
        specials = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        assert len(names) >= 3 and names <= specials
        for name in [*sorted(specials), "### System:"]:
            # After a line break, for Llama-2's tokenizer puts a space before a text.
            ids = tokenizer(f"\n가{name}나", add_special_tokens=False, split_special_tokens=True).input_ids
            line_break = ids.index(tokenizer("\n", add_special_tokens=False).input_ids[-1])
            assert TextEncoder(tokenizer).encode(f"\n가{name}나") == ids[line_break:], name


def test_no_space_is_put_first(llama2: PreTrainedTokenizerBase) -> None:
    assert llama2.convert_ids_to_tokens(TextEncoder(llama2).encode("### System:"))[0] == "###"
    assert llama2.tokenize("### System:")[0] == "▁###"  # and the tokenizer itself is as it was


def test_token_starts_never_fall_inside_a_character(llama2: PreTrainedTokenizerBase) -> None:
    encoder = TextEncoder(llama2)
    text = "가뷁 😀 a"
    starts = encoder.token_starts(text)
    ids = encoder.encode(text)
    assert len(starts) == len(ids) and starts == sorted(starts)
    for keep, start in enumerate(starts):
        assert text.startswith(encoder.decode(ids[:keep]).rstrip("�")) and len(encoder.encode(text[:start])) <= keep


def test_control_tokens_are_decoded_by_name(chatml: PreTrainedTokenizerBase) -> None:
    encoder = TextEncoder(chatml)
    end = chatml.convert_tokens_to_ids("<|im_end|>")
    ids = [chatml.bos_token_id, *encoder.encode(" 삼성전자 뷁"), end, *encoder.encode(" a")]
    assert encoder.decode(ids) == "<s> 삼성전자 뷁<|im_end|> a"


def test_byte_level_and_prepending_tokenizers() -> None:
    """Llama-3's kind of tokenizer, and an older file of Llama-2's that prepends in its normalizer."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    byte_level = Tokenizer(models.BPE({symbol: index for index, symbol in enumerate(alphabet)}, []))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    byte_level.decoder = decoders.ByteLevel()
    prepending = Tokenizer(models.BPE({symbol: index for index, symbol in enumerate("▁abc")}, []))
    prepending.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    prepending.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    for backend in (byte_level, prepending):
        encoder = TextEncoder(PreTrainedTokenizerFast(tokenizer_object=backend))
        for text in ("a", " a b", "ab "):
            ids = encoder.encode(text)
            assert len(ids) == len(text) and encoder.decode(ids) == text


def test_unreachable_base_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{", encoding="utf-8")
    for name in ("nobody/no-such-model", str(tmp_path / "broken")):
        with pytest.raises(KQAError) as error:
            load_tokenizer(name)
        message = str(error.value)
        assert f"--model.base_model {name}" in message and "offline, pass a folder" in message
        assert "\n" not in message


def test_a_folder_without_a_model_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(KQAError, match=r"--model\.base_model .*neither config\.json nor tokenizer\.json"):
        load_tokenizer(str(tmp_path))


def test_bundled_bases(tiny_bases: dict[str, Path]) -> None:
    for family, folder in tiny_bases.items():
        if not folder.exists():
            pytest.skip(f"{folder} is not there yet")
        text = "뷁 한국은행 ▁ 123 🏳️‍🌈\n\n </s>"
        encoder = TextEncoder(load_tokenizer(f"tiny-{family}"))
        assert encoder.decode(encoder.encode(text)) == text
