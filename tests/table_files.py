"""Tables written for a test, and the one line that a wrong one is refused with."""

from pathlib import Path
from typing import Any

import pytest

from kqa_lightning.data.tables import load_table
from kqa_lightning.errors import KQAError

HEADER = "id,context,question,answer\n"


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def fails(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(KQAError) as error:
        load_table(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)
