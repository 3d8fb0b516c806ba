"""Write the APIs' descriptions, docs/openapi.json and docs/asyncapi.json, or say (``--check``) that one has drifted."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from functions.api.http.app import build_app
from scripts import asyncapi

DOCS = Path(__file__).parents[1] / "docs"
DESCRIBED: dict[str, Callable[[], dict[str, Any]]] = {
    "openapi.json": lambda: build_app().openapi(),
    "asyncapi.json": asyncapi.described,
}


def main() -> int:
    """Write or check; 1 if a file has drifted."""
    drifted = False
    for name, describe in DESCRIBED.items():
        file = DOCS / name
        text = json.dumps(describe(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            print(f"docs/{name} does not describe the API: run `make api-docs`")
            drifted = True
    return int(drifted)


if __name__ == "__main__":
    sys.exit(main())
