"""The parser of a command's options: what is wrong is one line that names the option and the nearest right one."""

import difflib
import re
from collections.abc import Iterable
from typing import NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from kqa_lightning.errors import KQAError

_UNKNOWN_FLAGS = re.compile(r"unrecognized arguments: (?P<first>\S+)")
_UNKNOWN_KEY = re.compile(r"does not accept option '(?P<key>[^']+)'")
_UNKNOWN_PART = re.compile(r"Option '(?P<part>[^']+)' is not accepted")
_OF_KEY = re.compile(r'^Parser key "(?P<key>[^"]+)":\s*(?P<problem>.*)$', re.DOTALL)
_EXPECTED = re.compile(r"Expected an? (?P<type>.+?)(?:\. Got value: .*)?$", re.MULTILINE)
_GOT = re.compile(r"(?:Got|Given) value: (?P<value>.*)$", re.MULTILINE | re.DOTALL)


class KQAArgumentParser(LightningArgumentParser):
    """LightningCLI's parser, raising a KQAError where that one prints its usage and exits."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the error that ``message`` of argparse or jsonargparse stands for."""
        raise KQAError(self._explain(message)) from ex

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
            return self._explain_part(found["part"])
        if found := _OF_KEY.match(message):
            return _explain_value(found["key"], found["problem"])
        return " ".join(message.split())

    def _explain_part(self, part: str) -> str:
        """An init argument that the class of an option does not have; jsonargparse leaves out which option."""
        flags = [arg.partition("=")[0] for arg in getattr(self, "args", None) or []]
        flag = next((flag for flag in flags if flag.startswith("--") and flag.endswith(f".{part}")), None)
        if flag is None:
            return f"there is no setting {part} in the class that the configuration names by class_path"
        owner = flag.removesuffix(f".{part}")
        return f"there is no option {flag}; `{owner}.help CLASS` lists those of a class"


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of ``known`` that looks most like ``name``."""
    bare = name.lstrip("-")
    # By whole name first; a right name in the wrong group is found by its last part.
    return max(sorted(known), key=lambda key: max(_likeness(bare, key), 0.9 * _likeness(_leaf(bare), _leaf(key))))


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _explain_value(key: str, problem: str) -> str:
    if key == "config":
        return " ".join(problem.split())
    value, expected = _GOT.search(problem), [_plain_type(found["type"]) for found in _EXPECTED.finditer(problem)]
    if value is None or not expected:
        return f"--{key}: {' '.join(problem.split())}"
    got = " ".join(value["value"].split())
    if got == "None":
        return f"--{key} is missing; give it, or a --config that sets it"
    return f"--{key} {got}: expected {' or '.join(dict.fromkeys(expected))}"


def _plain_type(name: str) -> str:
    if literal := re.fullmatch(r"typing\.Literal\[(.*)\]", name):
        return f"one of {literal[1]}"
    plain = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", name)
    return {"NoneType": "null", "str": "text", "int": "a whole number", "float": "a number"}.get(plain, plain)
