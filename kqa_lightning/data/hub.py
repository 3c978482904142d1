"""Whether the hub can be asked at all, found out with one request instead of most of a minute of retries."""

from pathlib import Path
from typing import Literal

import datasets
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError


def ask_hub_once(name: str, repo_type: Literal["model", "dataset"]) -> None:
    """Return where ``name`` is a folder, cached or on the hub; otherwise raise the hub's own error."""
    if Path(name).is_dir() or _is_cached(name, repo_type):
        return
    file = "config.json" if repo_type == "model" else "README.md"
    try:
        get_hf_file_metadata(hf_hub_url(name, file, repo_type=repo_type))
    except EntryNotFoundError:
        return  # the repository is there, without this file


def _is_cached(name: str, repo_type: Literal["model", "dataset"]) -> bool:
    if repo_type == "dataset":
        return (Path(datasets.config.HF_DATASETS_CACHE) / name.replace("/", "___")).is_dir()
    return isinstance(try_to_load_from_cache(name, "config.json"), str)
