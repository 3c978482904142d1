"""The options that the benchmarks have in common."""

from collections.abc import Sequence
from pathlib import Path

from script_options import ScriptParser


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
        default=list(bases),
        help="bundled bases, and wide: 95 million random parameters, 256,000 words",
    )
    parser.add_argument(
        "--wide-tokenizer", default="tiny-gemma2", help="tokenizer of the wide base, such as Gemma's own (folder)"
    )
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="processor threads of a way")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write what was measured")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to draw it")
    return parser
