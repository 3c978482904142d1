"""The bar chart: what is written in it, in a format whose text can be read."""

import re
import warnings
from pathlib import Path

import matplotlib
import pytest

from kqa_lightning.ensemble.charts import check_chart_format, draw_scores
from kqa_lightning.errors import KQAError


def texts(path: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))


def test_every_bar_has_its_name_and_its_number(tmp_path: Path) -> None:
    path = tmp_path / "chart.svg"
    before, after = {"gemma2": 74.6, "llama": 40.1}, {"gemma2": 89.1, "a$^$": 88.5}  # no formula, which would be wrong
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_scores(path, before, after, {"f1_sum": 90.252}, oracle=94.0, title="TITLE")
    drawn = texts(path)
    for text in ("gemma2", "llama", "a$^$", "f1_sum", "74.6", "40.1", "89.1", "88.5", "90.3", "TITLE"):
        assert drawn.count(text) == 1, text
    assert {"before", "fine-tuned", "ensemble", "character F1"} <= set(drawn)


def test_one_model_without_an_ensemble(tmp_path: Path) -> None:
    path = tmp_path / "chart.svg"
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_scores(path, {"gemma2": 74.6}, {}, {})
    assert "74.6" in texts(path) and not {"fine-tuned", "ensemble"} & set(texts(path))


def test_korean_names_are_drawn_or_missed_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from matplotlib.font_manager import fontManager

    from kqa_lightning.ensemble.charts import HANGUL_FONTS

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        draw_scores(tmp_path / "chart.png", {"이브": 50.0, "a name that is very long indeed": 1.0}, {}, {})
    assert not [str(one.message) for one in caught if "Glyph" in str(one.message)]
    has_font = bool(set(HANGUL_FONTS) & set(fontManager.get_font_names()))
    assert ("no font with Hangul" in caplog.text) != has_font


def test_a_format_that_is_none_is_refused() -> None:
    check_chart_format(Path("chart.PNG"))
    for name in ("chart", "chart.doc", "chart.pgf"):  # the last needs a TeX
        with pytest.raises(KQAError, match=rf"^--output {name}: no picture format; known endings: .*png.*svg"):
            check_chart_format(Path(name))
