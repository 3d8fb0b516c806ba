"""The bundles: what AWS gets is built, small enough and for its processor; what runs here has all that it needs."""

import json
import marshal
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from infra import bundling
from infra.bundling import GROUPS, MEGABYTE, Bundle, BundleError, build, check, input_digest, native_machine
from infra.elf import drop_sections, machine_of, shared_objects
from infra.pruning import PRUNES, size_bytes
from tests.infra.conftest import PROJECT

LIMIT_MB = {"api": 60, "runner": 220, "summarizer": 220}
UNCHECKED_HASH = 1


@pytest.fixture(scope="session", params=sorted(GROUPS))
def cloud_bundle(request: pytest.FixtureRequest) -> tuple[str, Bundle]:
    """Each group's bundle for AWS."""
    return request.param, build(request.param, "aarch64")


def native(group: str) -> Path:
    """A group's bundle for this machine."""
    return build(group, native_machine()).path


def run_isolated(bundle: Path, script: str, *arguments: str) -> dict[str, Any]:
    """What a script prints as JSON, run with nothing but a bundle and the standard library on its path."""
    done = subprocess.run(
        [str(Path(sys.base_prefix) / "bin" / "python3.13"), "-S", str(Path(__file__).with_name(script)), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=bundle,
        env={"PYTHONPATH": str(bundle), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "HOME": "/nonexistent"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class ScriptedModel(BaseHTTPRequestHandler):
    """Answers chat completions: a tool call, or two streamed pieces of text."""

    def do_POST(self) -> None:
        """One completion; refused unless it brings tools."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert request["tools"]
        head = {"id": "c", "created": 1, "model": "scripted"}
        if request.get("stream"):
            events = [{**head, "object": "chat.completion.chunk", "choices": [choice]} for choice in self.pieces()]
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
            content_type = "text/event-stream"
        else:
            call = {"id": "t", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            body = json.dumps({**head, "object": "chat.completion", "choices": choices, "usage": usage})
            content_type = "application/json"
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    @staticmethod
    def pieces() -> list[dict[str, object]]:
        """The streamed answer's choices."""
        return [
            {"index": 0, "delta": {"role": "assistant", "content": "1 + 2 "}, "finish_reason": None},
            {"index": 0, "delta": {"content": "= 3"}, "finish_reason": None},
            {"index": 0, "delta": {}, "finish_reason": "stop"},
        ]

    def log_message(self, format: str, *args: object) -> None:
        """Keep standard error for errors."""


@pytest.fixture
def model_url() -> Iterator[str]:
    """Base URL of a model server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), ScriptedModel)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_bundles_for_aws_keep_to_their_size(cloud_bundle: tuple[str, Bundle]) -> None:
    group, bundle = cloud_bundle

    assert 1 < size_bytes(bundle.path) / MEGABYTE <= LIMIT_MB[group]


def test_every_shared_object_for_aws_is_aarch64(cloud_bundle: tuple[str, Bundle]) -> None:
    machines = {path.name: machine_of(path) for path in shared_objects(cloud_bundle[1].path)}

    assert len(machines) > 10
    assert set(machines.values()) == {"aarch64"}


def test_no_file_that_is_left_out_is_in_a_bundle(cloud_bundle: tuple[str, Bundle]) -> None:
    for entry in PRUNES:
        left = {path.name for path in cloud_bundle[1].path.glob(entry.pattern)}
        assert left <= entry.keep, entry.pattern


def test_every_rule_of_what_is_left_out_has_something_to_leave_out(tmp_path: Path) -> None:
    bundling._install(PROJECT / "locks" / "runner.txt", tmp_path / "all", machine="aarch64")
    bundling._install(PROJECT / "locks" / "api.txt", tmp_path / "api", machine="aarch64")
    unused = [
        entry.pattern
        for entry in PRUNES
        if not any(set(tmp_path.glob(f"{folder}/{entry.pattern}")) for folder in ("all", "api"))
    ]

    assert unused == []


def test_a_bundle_holds_its_own_functions_and_what_is_shared(cloud_bundle: tuple[str, Bundle]) -> None:
    group, bundle = cloud_bundle
    packages = {path.name for path in (bundle.path / "functions").iterdir() if path.is_dir()} - {"__pycache__"}

    assert packages <= {group}
    assert (bundle.path / "shared" / "migrations").is_dir()


def test_compiled_files_are_never_checked_and_name_the_folder_of_lambda(cloud_bundle: tuple[str, Bundle]) -> None:
    compiled = sorted(cloud_bundle[1].path.rglob("asyncpg/__pycache__/*.cpython-313.pyc"))

    assert compiled
    for path in compiled:
        content = path.read_bytes()
        assert int.from_bytes(content[4:8], "little") == UNCHECKED_HASH
        code = marshal.loads(content[16:])  # noqa: S302
        assert isinstance(code, CodeType)
        assert code.co_filename.startswith("/var/task/asyncpg/")


def test_litellm_comes_without_the_api_and_never_with_it() -> None:
    assert not (build("api", "aarch64").path / "litellm").exists()
    assert (build("runner", "aarch64").path / "litellm").is_dir()


def test_the_api_bundle_has_what_its_functions_import() -> None:
    seen = run_isolated(native("api"), "smoke_api.py")

    assert seen["status"] == 200
    assert seen["token"] == "a"
    assert seen["rsa"] is True
    assert len(seen["services"]) == 8
    assert "aiohttp" in seen["modules"]


@pytest.mark.parametrize("group", ["runner", "summarizer"])
def test_litellm_works_from_the_bundle_and_reaches_for_nothing_else(group: str, model_url: str) -> None:
    seen = run_isolated(native(group), "smoke_model.py", model_url)

    assert seen["tool"] == "add"
    assert seen["streamed"] == "1 + 2 = 3"
    assert seen["gpt_4o"] == 15
    assert seen["claude"] > 5
    assert seen["window"] == 128000


def copy_of_sources(target: Path) -> Path:
    """A project with the locks and one source file a group."""
    shutil.copytree(PROJECT / "locks", target / "locks")
    for folder in ("functions/api", "functions/runner", "shared"):
        (target / folder).mkdir(parents=True)
        (target / folder / "main.py").write_text("x = 1\n")
    return target


def test_the_same_input_gives_the_same_bundle(tmp_path: Path) -> None:
    project = copy_of_sources(tmp_path / "project")
    first, second = (build("api", "aarch64", project=project, cache=tmp_path / name) for name in ("a", "b"))

    assert first.digest == second.digest
    files = sorted(path.relative_to(first.path) for path in first.path.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second.path) for path in second.path.rglob("*") if path.is_file())
    differing = [str(path) for path in files if (first.path / path).read_bytes() != (second.path / path).read_bytes()]
    assert differing == []
    for source in ("functions/api/main.py", "shared/main.py"):
        assert (first.path / source).read_bytes() == (project / source).read_bytes()
    assert not (first.path / "functions" / "runner").exists()


def test_a_changed_source_changes_the_bundles_that_hold_it_and_no_others(tmp_path: Path) -> None:
    project = copy_of_sources(tmp_path)

    def digests() -> dict[str, str]:
        return {group: input_digest(group, "aarch64", project=project) for group in ("api", "runner")}

    before = digests()
    (project / "functions" / "api" / "main.py").write_text("x = 2\n")
    after_api = digests()
    (project / "shared" / "main.py").write_text("x = 2\n")
    after_shared = digests()

    assert (after_api["api"] == before["api"], after_api["runner"] == before["runner"]) == (False, True)
    assert after_shared["api"] != after_api["api"]
    assert after_shared["runner"] != after_api["runner"]


def test_a_bundle_over_its_size_or_for_another_processor_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(b"x" * (LIMIT_MB["api"] * MEGABYTE + 1))
    with pytest.raises(BundleError, match="over its 60 MB"):
        check("api", "aarch64", tmp_path)
    (tmp_path / "large.bin").unlink()

    library = next(shared_objects(native("api")))
    other = "aarch64" if native_machine() == "x86_64" else "x86_64"
    shutil.copy(library, tmp_path / library.name)
    check("api", native_machine(), tmp_path)
    with pytest.raises(BundleError, match="is built for"):
        check("api", other, tmp_path)


def test_what_is_cut_from_a_shared_object_is_cut_once(tmp_path: Path) -> None:
    extension = sysconfig.get_path("stdlib") + "/lib-dynload/_json" + sysconfig.get_config_var("EXT_SUFFIX")
    library = tmp_path / "module.so"
    shutil.copy(extension, library)

    drop_sections(library)
    size = library.stat().st_size
    assert size < Path(extension).stat().st_size
    assert drop_sections(library) == 0
    assert library.stat().st_size == size


def test_a_missing_uv_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bundling, "PROJECT", tmp_path)

    with pytest.raises(BundleError, match="uv is needed"):
        bundling.find_uv()


def test_a_failed_install_leaves_nothing_behind(tmp_path: Path) -> None:
    project = copy_of_sources(tmp_path / "project")
    (project / "locks" / "api.txt").write_text(f"no-such-package-{os.getpid()}==1 --hash=sha256:{'0' * 64}\n")

    with pytest.raises(BundleError, match="could not install"):
        build("api", "aarch64", project=project, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
