"""What the hub holds: whether it can be asked at all, and the files of a data set."""

from collections.abc import Sequence
from pathlib import Path

import datasets
from huggingface_hub import get_hf_file_metadata, hf_hub_url, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError


def ask_hub_once(name: str) -> None:
    """Return where the model ``name`` is a folder, cached or on the hub; otherwise raise the hub's own error.

    One request instead of most of a minute of retries.
    """
    if Path(name).is_dir() or isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"))
    except EntryNotFoundError:
        return  # the repository is there, without this file


def split_files(name: str, extensions: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files of each split of a hub data set, or of a folder that is laid out as one.

    ``datasets`` says which file belongs to which split, and reads none of them: of a CSV or JSON file it guesses
    the types, and `007` would become 7.

    Args:
        name: ``owner/name``. What was downloaded before is found again offline.
        extensions: of the files to download, compressed or not.

    Raises:
        Exception: whatever the hub, the network or the data set's own settings come up with.
    """
    folder = name
    if not Path(name).is_dir():
        patterns = ["README.md", *(f"*{extension}*" for extension in extensions)]
        folder = snapshot_download(name, repo_type="dataset", allow_patterns=patterns)
    files = datasets.load_dataset_builder(folder).config.data_files or {}
    return {str(split): [Path(path) for path in paths] for split, paths in files.items()}
