"""The report's page: its template, style, scripts and wording, joined into one file that needs no other.

No text of the data can become markup or script: it travels as JSON without a ``<``, the scripts put it on the
page as text nodes, and the page's content security policy allows these very scripts and nothing else, no
request to anywhere included.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

SCRIPTS = ("match.js", "view.js", "app.js")  # each uses what is defined in those before it


def render_page(data: Mapping[str, Any]) -> str:
    """The page as one text of HTML.

    Args:
        data: what `report.report_data` makes.
    """
    style, scripts = _read("page.css"), [_read(name) for name in SCRIPTS]
    parts = {
        "policy": f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src {_source(style)}; "
        f"script-src {' '.join(map(_source, scripts))}",
        "style": style,
        "texts": _as_json(json.loads(_read("texts.json"))),
        "data": _as_json(data),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    # All slots in one pass, so that a slot's name in an article stays what it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: parts[slot[1]], _read("page.html"))


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """How a content security policy names a script or style that stands in the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _as_json(value: Any) -> str:
    """JSON in which no script element can end and no comment begin."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
