"""The options that the benchmarks have in common."""

import os
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase
from script_options import ScriptParser

from kqa_lightning.assets import TINY_BASES

WIDE = "wide"


def benchmark_parser(description: str, bases: Sequence[str]) -> ScriptParser:
    """A parser of what is compared, how often, and where the result goes.

    Args:
        description: What ``--help`` says first.
        bases: Those that are compared where none are named.
    """
    parser = ScriptParser(description)
    parser.add_argument("--korquad", metavar="FILE", help="KorQuAD's development set; without it the sample alone")
    parser.add_argument(
        "--bases",
        nargs="+",
        choices=(*TINY_BASES, WIDE),
        default=list(bases),
        help="bundled bases, and wide: 95 million random parameters, 256,000 words",
    )
    parser.add_argument(
        "--wide-tokenizer", default="tiny-gemma2", help="tokenizer of the wide base, such as Gemma's own (folder)"
    )
    parser.add_argument("--repetitions", type=count, default=5)
    parser.add_argument("--threads", type=count, default=1, help="processor threads of a way")
    parser.add_argument(
        "--flush-others",
        action="store_true",
        help="let the other ways flush denormal numbers to zero too: ours does on a CPU, they leave it to the user",
    )
    parser.add_argument("--json", type=_target, metavar="FILE", help="where to write what was measured")
    parser.add_argument("--plot", type=_picture, metavar="FILE", help="where to draw it")
    return parser


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text} is to be a whole number of at least 1")
    return int(text)


def _target(text: str) -> Path:
    """A file that can be written: after the measurement would be late to learn that it cannot."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text}: a folder")
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"{text}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentTypeError(f"{text} cannot be written")
    return path


def _picture(text: str) -> Path:
    """A file in a format that can be drawn."""
    path, formats = _target(text), sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix.removeprefix(".").lower() not in formats:
        raise ArgumentTypeError(f"{text} is to end in a format that can be drawn: {', '.join(formats)}")
    return path
