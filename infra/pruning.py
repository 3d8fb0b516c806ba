"""What a bundle leaves out of its installed dependencies, each with its reason.

Lambda allows 250 MB unzipped; litellm alone brings 82 MB, botocore 26 MB. Everything here is proven unneeded by the
smoke tests of `tests/infra/test_bundles.py`, which run a bundle of this machine's platform with nothing else on the
path.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

USED_AWS_SERVICES = frozenset(
    {
        "apigatewaymanagementapi",
        "dynamodb",
        "lambda",
        "s3",
        "secretsmanager",
        "sqs",
        "sso",
        "sso-oidc",
        "stepfunctions",
        "sts",
    }
)
"""Service models of botocore that stay: what the functions call, and what credentials are resolved with."""


@dataclass(frozen=True, kw_only=True)
class Prune:
    """One kind of file to leave out.

    pattern: glob relative to the bundle's root; a folder goes with its content.
    keep: names below the pattern that stay.
    """

    pattern: str
    reason: str
    keep: frozenset[str] = frozenset()


PRUNES: tuple[Prune, ...] = (
    Prune(
        pattern="bin", reason="console scripts: no shell in a function, and their first line names the build machine"
    ),
    Prune(pattern=".lock", reason="uv's lock file on the target folder"),
    Prune(pattern="*.dist-info/RECORD", reason="list of installed files: only an uninstaller reads it"),
    Prune(pattern="*.dist-info/INSTALLER", reason="see RECORD"),
    Prune(pattern="*.dist-info/REQUESTED", reason="see RECORD"),
    Prune(pattern="*/tests", reason="the dependencies' own tests"),
    Prune(pattern="**/*.pyi", reason="type stubs: nothing reads them at run time"),
    Prune(pattern="**/*.pyx", reason="Cython sources of compiled modules"),
    Prune(pattern="**/*.pxd", reason="Cython declarations of compiled modules"),
    Prune(pattern="**/*.pxi", reason="Cython includes of compiled modules"),
    Prune(pattern="**/*.c", reason="C sources of compiled modules"),
    Prune(pattern="**/*.h", reason="C headers of compiled modules"),
    Prune(
        pattern="botocore/data/*",
        reason="models of AWS services that no function calls (24 of 26 MB)",
        keep=USED_AWS_SERVICES | {"_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json"},
    ),
    Prune(
        pattern="boto3/data/*",
        reason="resource interfaces: the functions use clients",
        keep=frozenset({"dynamodb", "s3", "sqs"}),
    ),
    Prune(pattern="aws_lambda_powertools/event_handler", reason="a web framework beside FastAPI: not imported"),
    Prune(pattern="boto3/examples", reason="documentation"),
    Prune(pattern="litellm/proxy/_experimental/out", reason="the proxy server's web interface (25 MB)"),
    Prune(pattern="litellm/proxy/swagger", reason="the proxy server's API pages"),
    Prune(pattern="litellm/proxy/_lazy_openapi_snapshot.json", reason="the proxy server's OpenAPI document"),
    Prune(
        pattern="litellm/rust_bridge/_native.abi3.so",
        reason="optional fast path of the proxy; litellm falls back to Python",
    ),
    Prune(pattern="hf_xet", reason="transfers from the Hugging Face hub: no function fetches a tokenizer"),
    Prune(pattern="hf_xet-*.dist-info", reason="see hf_xet"),
)
"""Never the rest of `litellm/proxy`: litellm imports parts of it from its main module."""


def prune(bundle: Path) -> dict[str, int]:
    """Delete what `PRUNES` names from a bundle.

    Returns bytes freed by pattern; a pattern that matched nothing has 0.
    """
    freed: dict[str, int] = {}
    for entry in PRUNES:
        freed[entry.pattern] = 0
        for path in sorted(bundle.glob(entry.pattern)):
            if path.name in entry.keep:
                continue
            freed[entry.pattern] += size_bytes(path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return freed


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
