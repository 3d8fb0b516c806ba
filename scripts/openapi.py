"""Write the HTTP API's description to docs/openapi.json, or say (``--check``) that it is not up to date."""

import json
import sys
from pathlib import Path

from functions.api.http.app import build_app

FILE = Path(__file__).parents[1] / "docs/openapi.json"


def described() -> str:
    """The API as OpenAPI 3.1."""
    return json.dumps(build_app().openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or check; 1 if the file has drifted."""
    text = described()
    if "--check" not in sys.argv:
        FILE.write_text(text, encoding="utf-8")
        return 0
    if not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        print("docs/openapi.json does not describe the API: run `make api-docs`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
