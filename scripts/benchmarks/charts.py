"""Pictures of what the benchmarks measured."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot


def draw_speeds(path: Path, speeds: Mapping[str, Mapping[str, Sequence[float]]], title: str) -> None:
    """Bars of medians with whiskers over the range, one group a comparison, on a logarithmic scale.

    Args:
        path: of the picture, whose suffix tells the format.
        speeds: {comparison: {way: repetitions}}.
        title: of the picture.
    """
    ways = list(next(iter(speeds.values())))
    figure, axes = pyplot.subplots(figsize=(2 + 1.4 * len(speeds), 4.2), layout="constrained")
    width = 0.8 / len(ways)
    for place, way in enumerate(ways):
        medians = [statistics.median(one[way]) for one in speeds.values()]
        spread = [[m - min(one[way]), max(one[way]) - m] for m, one in zip(medians, speeds.values(), strict=True)]
        left = [group + (place - (len(ways) - 1) / 2) * width for group in range(len(speeds))]
        bars = axes.bar(left, medians, width, yerr=list(zip(*spread, strict=True)), capsize=2, label=way)
        labels = [f"{median:.0f}" if median >= 10 else f"{median:.2g}" for median in medians]
        axes.bar_label(bars, labels, padding=2, fontsize=7)
    axes.set_yscale("log")
    axes.set_ylabel("answers a second")
    axes.set_xticks(range(len(speeds)), [name.replace("/", "\n") for name in speeds])
    axes.set_title(title)
    axes.legend(ncols=len(ways), fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
