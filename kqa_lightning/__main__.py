"""The command line: lists the commands at once, and imports the libraries only for the one that is asked for."""

import difflib
import io
import sys
from collections.abc import Callable

COMMANDS = {
    "fit": "fine-tune adapters for a base model on a table of questions",
    "validate": "score answers on data.val_path, or on the part of data.train_path kept for validation",
    "test": "score answers on data.test_path",
    "predict": "answer the questions of data.predict_path",
    "crossfit": "fine-tune a model for each fold of data.train_path, and answer every question out of fold",
    "preview": "show the prompts and token counts of data.train_path; loads no model",
    "doctor": "show what this machine has, and with a --config whether it is enough",
}
TRAINER_COMMANDS = ("fit", "validate", "test", "predict", "crossfit")

_HELP = """\
usage: python -m kqa_lightning COMMAND --config NAME.yaml [--KEY VALUE ...]

Fine-tune and run causal language models on Korean question answering.

commands:
{commands}

options:
  -h, --help  this text; `COMMAND --help` lists every setting of a command
  --version   the version

NAME.yaml is a file, or the name of a configuration that comes with the package.
A first run: python -m kqa_lightning fit --config tiny-gemma2.yaml
"""

_INSTALL = (
    "`make install` makes .venv, whose python has all that is needed; `pip install -c constraints.txt -e .` installs"
    " it into an environment of your own"
)


def main(args: list[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        args: The command and its options; None takes those of the process.

    Returns:
        0 when done, 2 for wrong input (with one line ``error: …`` on stderr), 130 after an interrupt from the
        keyboard, 143 after SIGTERM.
    """
    if args is None:
        _show_escapes()
    arguments = sys.argv[1:] if args is None else list(args)
    command = arguments[0] if arguments else ""
    if command in ("-h", "--help"):
        print(_help(), end="")
        return 0
    if command == "--version":
        from kqa_lightning import __version__

        print(__version__)
        return 0
    if command not in COMMANDS:
        print(f"error: {_unknown(command)}", file=sys.stderr)
        return 2
    try:
        return _runner(command)(arguments)
    except KeyboardInterrupt:
        return 130


def _runner(command: str) -> Callable[[list[str]], int]:
    """What runs a command; where its libraries are not installed, what says so."""
    try:
        if command in TRAINER_COMMANDS:
            from kqa_lightning.cli import run
        elif command == "preview":
            from kqa_lightning.preview import run
        else:
            from kqa_lightning.doctor import run
    except ModuleNotFoundError as error:
        missing = error.name

        def run(args: list[str]) -> int:
            print(f"error: {sys.executable} has no {missing}: {_INSTALL}", file=sys.stderr)
            return 2

    return run


def _help() -> str:
    width = max(map(len, COMMANDS))
    return _HELP.format(commands="\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()))


def _unknown(command: str) -> str:
    if not command:
        return f"no command given: {', '.join(COMMANDS)} (--help explains them)"
    if command.startswith("-"):
        return f"the command comes first: {', '.join(COMMANDS)} (--help explains them), then {command}"
    nearest = difflib.get_close_matches(command, COMMANDS, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the commands are {', '.join(COMMANDS)}"
    return f"there is no command {command}; {hint}"


def _show_escapes() -> None:
    """Let a terminal that knows no Hangul show escapes, instead of stopping the work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
