"""From the archive of the built page to the objects that the edge serves."""

import io
import json
import zipfile

import pytest

from functions.api.page.main import files_of


def archive(**files: str) -> bytes:
    """A zip file; ``__`` in a name stands for a slash, ``_`` for a dot."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        for name, body in files.items():
            opened.writestr(name.replace("__", "/").replace("_", "."), body)
    return held.getvalue()


def test_every_file_is_there_with_its_type_and_how_long_it_may_be_kept() -> None:
    files = files_of(archive(index_html="<p>", assets__a_js="1", icon_svg="<svg/>"), {"issuer": "i"})

    assert [(file.key, file.content_type, file.cache_control.partition(",")[0]) for file in files] == [
        ("app/assets/a.js", "text/javascript; charset=utf-8", "public"),
        ("app/icon.svg", "image/svg+xml", "no-cache"),
        ("app/config.json", "application/json", "no-cache"),
        ("app/index.html", "text/html; charset=utf-8", "no-cache"),
    ]


def test_the_index_comes_last_so_that_what_it_names_is_there() -> None:
    files = files_of(archive(index_html="<p>", z_js="1"), {})

    assert files[-1].key == "app/index.html"


def test_the_configuration_is_the_stacks_and_not_the_archives() -> None:
    files = files_of(archive(index_html="<p>", config_json='{"issuer": "forged"}'), {"issuer": "ours"})

    (config,) = [file for file in files if file.key == "app/config.json"]
    assert json.loads(config.body) == {"issuer": "ours"}


def test_an_archive_without_a_page_is_refused() -> None:
    with pytest.raises(KeyError, match=r"index\.html"):
        files_of(archive(other_txt="x"), {})
