"""Real tokenizers of the three families, loaded once."""

from pathlib import Path

import datasets
import pytest
from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.tables import load_table
from kqa_lightning.data.text_encoder import load_tokenizer


@pytest.fixture(scope="session")
def gemma(gemma_tokenizer_dir: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(gemma_tokenizer_dir))


@pytest.fixture(scope="session")
def llama2(llama2_tokenizer_dir: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(llama2_tokenizer_dir))


@pytest.fixture(scope="session")
def chatml(llama2_tokenizer_dir: Path) -> PreTrainedTokenizerBase:
    """SOLAR's vocabulary with EEVE's two control tokens."""
    tokenizer = load_tokenizer(str(llama2_tokenizer_dir))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    return tokenizer


@pytest.fixture
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    """The tokenizer of the family that a test is parametrised with (indirectly)."""
    return request.getfixturevalue({"gemma2": "gemma", "eeve": "chatml", "nous": "llama2"}[request.param])


@pytest.fixture(scope="session")
def korquad(korquad_path: Path) -> datasets.Dataset:
    """KorQuAD 1.0 dev as a checked table."""
    return load_table(str(korquad_path), "train", require_answers=True)


@pytest.fixture
def rows_csv(tmp_path: Path) -> Path:
    """Three articles of three sentences, with two, one and two questions, not side by side."""
    articles = {name: f"{name}는 서울에 있다. {name}의 대표는 김{name}이다. 매출은 3억원이다." for name in "가나다"}
    rows = ["가나다"[i] for i in (0, 1, 2, 0, 2)]
    lines = [f"Q{i},{articles[name]},{name}의 대표 {i}?,김{name}" for i, name in enumerate(rows)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["id,context,question,answer", *lines]), encoding="utf-8")
    return path
