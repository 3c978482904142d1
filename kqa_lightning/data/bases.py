"""Where a base model's files are: bundled, in a folder, or on the Hugging Face Hub; with errors a person can act on."""

import difflib
from pathlib import Path

from kqa_lightning.assets import TINY_BASES, resolve_base_model
from kqa_lightning.data.hub import ask_hub_once
from kqa_lightning.errors import KQAError

_PATH_STARTS = ("/", "./", "../", "~")
_ALIKE = 0.6  # by difflib: gemma2 and nous are this much like the bundled bases that are meant


def locate_base(base_model: str) -> str:
    """The folder (of a bundled base, or with ``~`` expanded) or the hub id that ``base_model`` names.

    Raises:
        KQAError: it names a file or a folder that does not exist, or the hub cannot be asked for it.
    """
    name = resolve_base_model(base_model)
    folder = Path(name)
    if folder.is_dir():
        return str(folder)
    if folder.exists():
        raise KQAError(f"--model.base_model {base_model} is a file; name the folder that holds the model")
    if name.startswith(_PATH_STARTS) or name.count("/") != 1:
        alike = [] if "/" in name else difflib.get_close_matches(name, TINY_BASES, 1, _ALIKE)
        meant = f" (is {alike[0]} meant?)" if alike else ""
        raise KQAError(
            f"--model.base_model {base_model}: there is no such folder{meant};"
            f" a hub id has the form owner/name, and bundled are {', '.join(TINY_BASES)}"
        )
    try:
        ask_hub_once(name)
    # No narrower: the hub refuses with its own errors, the network with another library's, and a proxy that is set
    # wrongly with a ValueError or ImportError. None is hidden: its kind and first line are told.
    except Exception as error:
        raise unreachable(base_model, error) from error
    return name


def unreachable(base_model: str, error: Exception) -> KQAError:
    """What is to be said where the hub does not give a base."""
    return KQAError(
        f"--model.base_model {base_model} cannot be had from the Hugging Face Hub: check the name, the network and,"
        " for a gated model, `hf auth login`; offline, pass a folder with the model, or one of those bundled:"
        f" {', '.join(TINY_BASES)} ({one_line(error)})"
    )


def one_line(error: Exception) -> str:
    """The first line of an error, with its kind."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
