"""The chat page as static files under `/app`, as the edge in front of the cloud's APIs serves it from S3."""

import hashlib
import mimetypes
from pathlib import Path
from urllib.parse import unquote

from suna_localstack.gateway.http_responses import HttpResponse

PREFIX = "/app"
CONFIG = "config.json"

_TYPES = {".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml", ".webmanifest": "text/json"}
_FIXED = "public, max-age=31536000, immutable"
_FRESH = "no-cache"
_SAFETY = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
]


class Page:
    """Files of a folder, and the configuration that the stack writes."""

    def __init__(self, folder: Path, config: Path) -> None:
        """Either may be missing as yet, or change: nothing is kept."""
        self._folder = folder.resolve()
        self._config = config

    def has(self, raw_path: str) -> bool:
        """Whether a path is the page's; any other is the APIs'."""
        return raw_path == PREFIX or raw_path.startswith(f"{PREFIX}/")

    def serve(self, method: str, raw_path: str, if_none_match: str) -> HttpResponse:
        """Answer a request for one of the page's paths. Files are small: they are read at once."""
        if method not in {"GET", "HEAD"}:
            return HttpResponse(405, [("allow", "GET, HEAD")])
        if raw_path == PREFIX:
            return HttpResponse(308, [("location", f"{PREFIX}/")])
        name = unquote(raw_path.removeprefix(f"{PREFIX}/")) or "index.html"
        file = self._config if name == CONFIG else self._inside(name)
        if file is None or not file.is_file():
            return self._missing(name)
        body = file.read_bytes()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        # Names in assets/ hold a hash of the content; everything else keeps its name when it changes.
        headers = [*_SAFETY, ("cache-control", _FIXED if name.startswith("assets/") else _FRESH), ("etag", tag)]
        if if_none_match == tag:
            return HttpResponse(304, headers)
        kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        headers.append(("content-type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind))
        return HttpResponse(200, headers, b"" if method == "HEAD" else body)

    def _inside(self, name: str) -> Path | None:
        try:
            file = (self._folder / name).resolve()
        except (OSError, ValueError):  # a NUL, or a name that is too long
            return None
        return file if file.is_relative_to(self._folder) else None

    @staticmethod
    def _missing(name: str) -> HttpResponse:
        if name == "index.html":
            text = "The chat page is not built: run `make web`, then reload."
            return HttpResponse(503, [("content-type", "text/plain; charset=utf-8")], text.encode())
        return HttpResponse(404, [("content-type", "text/plain; charset=utf-8")], b"Not found")
