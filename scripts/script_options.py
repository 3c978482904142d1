"""What the options of the scripts have in common: one line for what is wrong, with the nearest option there is."""

import argparse
import difflib
import io
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from kqa_lightning.errors import KQAError


class ScriptParser(argparse.ArgumentParser):
    """A parser that takes no abbreviations and raises a KQAError where argparse prints its usage and exits."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong."""
        raise KQAError(message)

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """The options given, files and flags in any order; an unknown one is refused.

        Raises:
            KQAError: the message names the flag.
        """
        options, unknown = self.parse_known_intermixed_args(arguments)
        if unknown:
            flag = unknown[0].partition("=")[0]
            known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
            nearest = difflib.get_close_matches(flag, known, n=1, cutoff=0)
            raise KQAError(f"there is no option {flag}; did you mean {nearest[0]}?")
        return options


def run_script(work: Callable[[Sequence[str] | None], None], arguments: Sequence[str] | None) -> int:
    """Do the work and return the exit status: 2 with one line where the input is wrong, 130 at an interrupt."""
    try:
        work(arguments)
    except (KQAError, OSError) as error:  # a name that is too long for the file system, for one
        # A name in it may have line breaks, and what is wrong is told in one line.
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def tolerate_any_terminal() -> None:
    """A terminal that knows no Hangul shows escapes; it does not stop the work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
