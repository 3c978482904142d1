"""The parser of a command's options: what is wrong is one line that names the option and the nearest right one."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from kqa_lightning.errors import KQAError

_UNKNOWN_FLAGS = re.compile(r"unrecognized arguments: (?P<first>\S+)")
_UNKNOWN_KEY = re.compile(r"does not accept option '(?P<key>[^']+)'")
_UNKNOWN_PART = re.compile(r"Option '(?P<part>[^']+)' is not accepted")
_OF_KEY = re.compile(r'^Parser key "(?P<key>[^"]+)":\s*(?P<problem>.*)$', re.DOTALL)
_EXPECTED = re.compile(r"Expected an? (?P<type>.+?)(?:\. Got value: .*)?$", re.MULTILINE)
_NO_CLASS = re.compile(r"Expected a dot import path string: (?P<name>\S+)")
_GOT = re.compile(r"(?:Got|Given) value: (?P<value>.*)$", re.MULTILINE)


class KQAArgumentParser(LightningArgumentParser):
    """LightningCLI's parser, raising a KQAError where that one prints its usage and exits."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the error that ``message`` of argparse or jsonargparse stands for."""
        raise KQAError(self._explain(message)) from ex

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **options: Any
    ) -> Any:
        """As LightningCLI's, with the option named where a class does not have it."""
        try:
            return super().parse_args(args, *more, **options)
        except _UnknownPart as error:
            raise error.in_arguments(args or []) from error

    def known_keys(self) -> set[str]:
        """Every setting of the command as ``group.name``, those of all commands for the parser above them.

        Not among them are the groups themselves, which ``--group FILE`` could set.
        """
        parsers = [self]
        if self._subcommands_action is not None:
            parsers = list(self._subcommands_action.choices.values())
        options = {option for parser in parsers for option in parser._option_string_actions}
        names = {name.removeprefix("--") for name in options if name.startswith("--") and not name.endswith(".help")}
        return {name for name in names if not any(other.startswith(f"{name}.") for other in names)}

    def _explain(self, message: str) -> str:
        if found := _UNKNOWN_FLAGS.search(message):
            flag = found["first"].partition("=")[0]
            if not flag.startswith("-"):
                return f"unexpected {flag}: an option has the form --KEY VALUE"
            return f"there is no option {flag}; did you mean --{nearest(flag, self.known_keys())}?"
        if found := _UNKNOWN_KEY.search(message):
            return f"there is no setting {found['key']}; did you mean {nearest(found['key'], self.known_keys())}?"
        if (found := _UNKNOWN_PART.search(message)) and "\n" not in message:
            raise _UnknownPart(found["part"])
        if found := _OF_KEY.match(message):
            # The init arguments of a class have a parser of their own, and their keys are no options.
            dashes = "--" if "config" in self.known_keys() else ""
            return _explain_value(f"{dashes}{found['key']}", found["problem"])
        return " ".join(message.split())


class _UnknownPart(KQAError):
    """A setting that the class named by a class_path lacks; jsonargparse leaves out which option that was."""

    def __init__(self, part: str) -> None:
        super().__init__(f"Option '{part}' is not accepted by the class that class_path names")
        self.part = part

    def in_arguments(self, args: Sequence[str]) -> KQAError:
        """The error with the option, where it is one of ``args`` and not of a file."""
        flags = [arg.partition("=")[0] for arg in args if arg.startswith("--")]
        flag = next((flag for flag in flags if flag.endswith(f".{self.part}")), None)
        if flag is None:
            return self
        return KQAError(f"there is no option {flag}; {flag.removesuffix(self.part)}help CLASS lists those there are")


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of ``known`` that looks most like ``name``."""
    bare = name.lstrip("-")
    # By whole name first; a right name in the wrong group is found by its last part.
    return max(sorted(known), key=lambda key: max(_likeness(bare, key), 0.9 * _likeness(_leaf(bare), _leaf(key))))


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _explain_value(name: str, problem: str) -> str:
    if found := _NO_CLASS.search(problem):
        return f"{name} {found['name']}: there is no such class; {name}.help CLASS lists the settings of one"
    if found := _UNKNOWN_PART.search(problem):
        return f"{name}: there is no setting {found['part']} in the class that it names"
    values, expected = _GOT.findall(problem), [_plain_type(kind) for kind in _EXPECTED.findall(problem)]
    if not values or not expected:
        return f"{name}: {' '.join(problem.split())}"
    if values[-1] == "None":
        return f"{name} is missing; give it, or a --config that sets it"
    return f"{name} {values[-1]}: expected {' or '.join(dict.fromkeys(expected))}"


def _plain_type(name: str) -> str:
    if literal := re.fullmatch(r"typing\.Literal\[(.*)\]", name):
        return f"one of {literal[1]}"
    plain = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", name)
    return {"NoneType": "null", "str": "text", "int": "a whole number", "float": "a number"}.get(plain, plain)
