"""The chat page's files beside the APIs."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.localstack.gateway.conftest import StartGateway

type Http = aiohttp.ClientSession


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built page, and a file beside it that nobody may have."""
    root = tmp_path_factory.mktemp("page")
    built = root / "dist"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text("<!doctype html><title>Suna</title>")
    (built / "assets" / "index-abc.js").write_text("let a")
    (built / "icon.svg").write_text("<svg/>")
    (root / "secret.txt").write_text("secret")
    (root / "page.json").write_text('{"issuer": "http://127.0.0.1:1"}')
    return root


@pytest.fixture(scope="module")
def page(folder: Path, start_gateway: StartGateway) -> Iterator[str]:
    """A gateway with that page."""
    with start_gateway(page_folder=folder / "dist", page_config=folder / "page.json") as (_, url):
        yield url


@pytest.mark.parametrize(
    ("path", "kind", "cached", "begins"),
    [
        ("/app/", "text/html", "no-cache", "<!doctype html>"),
        ("/app/index.html", "text/html", "no-cache", "<!doctype html>"),
        ("/app/assets/index-abc.js", "text/javascript", "public, max-age=31536000, immutable", "let a"),
        ("/app/icon.svg", "image/svg+xml", "no-cache", "<svg/>"),
        ("/app/config.json", "application/json", "no-cache", '{"issuer"'),
    ],
)
async def test_files_are_served(page: str, path: str, kind: str, cached: str, begins: str) -> None:
    async with aiohttp.request("GET", page + path) as response:
        assert response.status == 200
        assert response.content_type == kind
        assert response.headers["cache-control"] == cached
        assert response.headers["x-content-type-options"] == "nosniff"
        assert (await response.text()).startswith(begins)


async def test_a_file_that_has_not_changed_is_not_sent_again(page: str, http: Http) -> None:
    async with http.get(f"{page}/app/") as response:
        tag = response.headers["etag"]
    async with http.get(f"{page}/app/", headers={"if-none-match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")


async def test_the_folder_s_address_gets_its_slash(page: str, http: Http) -> None:
    async with http.get(f"{page}/app", allow_redirects=False) as response:
        assert (response.status, response.headers["location"]) == (308, "/app/")


@pytest.mark.parametrize(
    "path", ["/app/none.js", "/app/..%2fsecret.txt", "/app/%2e%2e/secret.txt", "/app/a%00b", "/app/assets"]
)
async def test_nothing_else_is(page: str, http: Http, path: str) -> None:
    async with http.get(URL(page + path, encoded=True)) as response:
        assert response.status == 404
        assert "secret" not in await response.text()


async def test_it_is_only_read(page: str, http: Http) -> None:
    async with http.post(f"{page}/app/") as response:
        assert response.status == 405


@pytest.mark.parametrize("path", ["/text", "/apple"])
async def test_other_paths_are_the_apis(page: str, http: Http, path: str) -> None:
    async with http.get(page + path) as response:
        assert "Suna" not in await response.text()
        assert response.status != 308


async def test_a_page_that_is_not_built_says_what_to_do(folder: Path, http: Http, start_gateway: StartGateway) -> None:
    with start_gateway(page_folder=folder / "none", page_config=folder / "page.json") as (_, url):
        async with http.get(f"{url}/app/") as response:
            assert response.status == 503
            assert "make web" in await response.text()


async def test_without_a_page_its_path_is_the_apis(gateway: str, http: Http) -> None:
    async with http.get(f"{gateway}/app", allow_redirects=False) as response:
        assert response.status != 308
