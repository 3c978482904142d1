"""The deck's bar chart: models before and after fine-tuning, and their ensemble."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kqa_lightning.ensemble.text_tables import terminal_columns
from kqa_lightning.errors import KQAError

log = logging.getLogger(__name__)

BEFORE, AFTER, ENSEMBLE = "#c3c9d4", "#3b6fb6", "#d9822b"
# Matplotlib's own font has no Hangul; the first of these that is installed lends its own.
HANGUL_FONTS = ("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")


def check_chart_format(output: Path, flag: str = "--output") -> None:
    """Refuse, before any work is done, a file name whose ending names no picture format.

    Raises:
        KQAError: the message names those there are.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted({*FigureCanvasBase.get_supported_filetypes()} - {"pgf"})  # which needs a TeX
    if output.suffix[1:].lower() not in known:
        raise KQAError(f"{flag} {output}: no picture format; known endings: {', '.join(known)}")


def draw_scores(
    path: Path,
    before: Mapping[str, float],
    after: Mapping[str, float],
    rules: Mapping[str, float],
    oracle: float | None = None,
    title: str = "",
    picture: str | None = None,
) -> None:
    """Draw the scores, all of them character F1 in points of 100.

    Args:
        path: the picture to write, in the format of its ending.
        before: of the base models, by name; a model may be here, in `after`, or in both.
        after: of the fine-tuned models, by name.
        rules: of the ensemble, by strategy.
        oracle: of the best of the models' answers, drawn as a line.
        title: what stands above.
        picture: the format, where the ending of `path` does not say it.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = list(dict.fromkeys([*before, *after]))
    names = [*models, *rules]
    with pyplot.rc_context({"font.family": _fonts([*names, title])}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # _fonts has said so, in one line
        figure, axes = pyplot.subplots(figsize=(max(6, 1.5 * len(names)), 4.5), layout="constrained")
        for values, other, side, colour, label in (
            (before, after, -0.2, BEFORE, "before"),
            (after, before, 0.2, AFTER, "fine-tuned"),
        ):
            # A bar without its neighbour stands in the middle.
            places = [models.index(name) + (side if name in other else 0.0) for name in values]
            _bars(axes, places, list(values.values()), 0.4, colour, label)
        _bars(axes, list(range(len(models), len(names))), list(rules.values()), 0.6, ENSEMBLE, "ensemble")
        if oracle is not None:
            axes.axhline(oracle, color="#555555", linestyle="--", linewidth=1)
        axes.set_xticks(range(len(names)), names, parse_math=False, **_tilt(names))
        axes.set_ylim(0, 110)  # room for the legend above the bars
        axes.set_yticks(range(0, 101, 20))
        axes.set_ylabel("character F1")
        axes.set_title(title)
        axes.legend(loc="upper left", ncols=3)
        axes.spines[["top", "right"]].set_visible(False)
        try:
            figure.savefig(path, dpi=150, format=picture)
        finally:
            pyplot.close(figure)


def _fonts(texts: list[str]) -> list[str]:
    """Matplotlib's own font, and one with Hangul where some text has it."""
    from matplotlib.font_manager import fontManager

    own = ["DejaVu Sans"]
    if not any("\u1100" <= character <= "\ud7ff" for character in "".join(texts)):
        return own
    installed = set(fontManager.get_font_names())
    found = [font for font in HANGUL_FONTS if font in installed]
    if not found:
        log.warning("no font with Hangul was found (looked for %s): it is drawn as boxes", ", ".join(HANGUL_FONTS))
    return own + found[:1]


def _bars(axes: Any, places: list[float], values: list[float], width: float, colour: str, label: str) -> None:
    if values:
        bars = axes.bar(places, values, width, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f", padding=3, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})


def _tilt(names: list[str]) -> dict[str, Any]:
    """How the names under the bars are set: long ones at an angle, so that they do not meet."""
    return {"rotation": 20, "ha": "right"} if max(map(terminal_columns, names)) > 14 else {}
