"""Builds a function group's deployment folder without Docker, for the processor it will run on.

`python -m infra.bundling --group api --platform aarch64 --out DIR` prints what is in it by size.

A bundle holds the dependencies of `locks/<group>.txt` (as `pip install --target`), and of our code only
`functions/<group>` and `shared`. It is named by the hash of everything that goes in, so an unchanged bundle is found
in `.local/bundles` and neither rebuilt nor uploaded again; dependencies are kept apart, by the hash of their lock.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform as host
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.elf import drop_sections, machine_of, shared_objects
from infra.pruning import prune, size_bytes

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".local" / "bundles"
PYTHON = "3.13"
RUNTIME_ROOT = "/var/task"
MEGABYTE = 1_000_000
GROUPS: dict[str, int] = {"api": 60, "runner": 220, "summarizer": 220}
"""Groups and the most megabytes each may unzip to (Lambda's own limit is 250 MiB with layers)."""

PLATFORMS: dict[str, str] = {"aarch64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
"""Processor to uv's platform name; glibc 2.28 is what every wheel offers, Amazon Linux 2023 has 2.34."""


class BundleError(Exception):
    """A bundle could not be built, or is not fit to be deployed."""


@dataclass(frozen=True)
class Bundle:
    """A built bundle: its folder, and the hash of what went into it."""

    path: Path
    digest: str


def native_machine() -> str:
    """This machine's processor as a key of `PLATFORMS`."""
    machine = host.machine().lower()
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)
    if machine not in PLATFORMS:
        raise BundleError(f"no bundle can be built for processor {machine!r}; known: {', '.join(PLATFORMS)}")
    return machine


def build(group: str, machine: str, *, project: Path = PROJECT, cache: Path = CACHE) -> Bundle:
    """Build the bundle of a group for a processor, or find it in the cache.

    group: a key of `GROUPS`. machine: a key of `PLATFORMS`.
    Raises `BundleError` if it cannot be built, is too large, or holds a shared object of another processor.
    """
    lock = project / "locks" / f"{group}.txt"
    dependencies_digest = _dependencies_digest(lock, machine)
    digest = input_digest(group, machine, project=project)
    dependencies = cache / f"dependencies-{machine}-{dependencies_digest[:16]}"
    target = cache / f"{group}-{machine}-{digest[:16]}"
    if not dependencies.exists():
        with _partial(dependencies) as partial:
            _install(lock, partial, machine=machine)
            prune(partial)
            for path in shared_objects(partial):
                drop_sections(path)
            _compile(partial)
    if not target.exists():
        with _partial(target) as partial:
            # Hard links: a change of our code copies nothing of the dependencies.
            shutil.copytree(dependencies, partial, copy_function=os.link)
            sources = partial.with_suffix(".sources")
            _copy_sources(group, sources, project=project)
            _compile(sources)
            shutil.copytree(sources, partial, dirs_exist_ok=True)
            shutil.rmtree(sources)
            check(group, machine, partial)
    return Bundle(path=target, digest=digest)


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` when the block ends well, and goes when it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        if not target.exists():  # somebody else may have built the same in the meantime
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(partial.with_suffix(".sources"), ignore_errors=True)


def check(group: str, machine: str, bundle: Path) -> None:
    """Raise `BundleError` unless the bundle keeps to its size and every shared object fits the processor."""
    size_mb = size_bytes(bundle) / MEGABYTE
    if size_mb > GROUPS[group]:
        raise BundleError(f"bundle {group!r} unzips to {size_mb:.1f} MB, over its {GROUPS[group]} MB")
    for path in shared_objects(bundle):
        if machine_of(path) != machine:
            raise BundleError(f"{path.relative_to(bundle)} is built for {machine_of(path)!r}, not for {machine!r}")


def input_digest(group: str, machine: str, *, project: Path = PROJECT) -> str:
    """SHA-256 (hex) over the lock, the sources and the code that builds the bundle."""
    digest = hashlib.sha256(_dependencies_digest(project / "locks" / f"{group}.txt", machine).encode())
    digest.update(group.encode())
    for path in _sources(group, project=project):
        digest.update(f"\0{path.relative_to(project).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _dependencies_digest(lock: Path, machine: str) -> str:
    digest = hashlib.sha256(f"{machine} {PYTHON}".encode())
    for path in [lock, *(Path(__file__).with_name(name) for name in ("bundling.py", "elf.py", "pruning.py"))]:
        digest.update(b"\0" + path.read_bytes())
    return digest.hexdigest()


def _sources(group: str, *, project: Path) -> Iterator[Path]:
    package = project / "functions" / "__init__.py"
    if package.exists():
        yield package
    for root in (project / "functions" / group, project / "shared"):
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _copy_sources(group: str, bundle: Path, *, project: Path) -> None:
    for path in _sources(group, project=project):
        target = bundle / path.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _install(lock: Path, target: Path, *, machine: str) -> None:
    command = [
        *(find_uv(), "pip", "install", "--quiet", "--target", str(target)),
        *("--require-hashes", "--only-binary", ":all:", "-r", str(lock)),
        *("--python-version", PYTHON, "--python-platform", PLATFORMS[machine], "--link-mode", "copy"),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise BundleError(f"uv could not install {lock.name} for {machine}: {done.stderr.strip()}")


def _compile(bundle: Path) -> None:
    """Write `.pyc` files that are never checked against their source.

    Lambda's file system is read-only, so without them every cold start compiles everything again (2.2 to 3.1 times
    slower imports); "unchecked" saves the comparison, and their content does not depend on file times.
    """
    version = ".".join(map(str, sys.version_info[:2]))
    if version != PYTHON:
        raise BundleError(f".pyc files for Python {PYTHON} cannot be compiled by Python {version}")
    command = [
        *(sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"),
        *("-s", str(bundle), "-p", RUNTIME_ROOT, str(bundle)),
    ]
    # The exit status is ignored: some packages ship templates that are no valid Python, and they are not imported.
    subprocess.run(command, check=False, capture_output=True)


def find_uv() -> str:
    """Path of uv: on PATH, or where the Makefile installs it."""
    found = shutil.which("uv") or shutil.which("uv", path=str(PROJECT / ".local" / "tools" / "bin"))
    if found is None:
        raise BundleError("uv is needed to build bundles: run `make setup`, or put uv on PATH")
    return found


def size_table(bundle: Path, *, rows: int = 15) -> str:
    """The largest entries of a bundle and its total, in megabytes, as lines of text."""
    sizes = sorted(((size_bytes(path), path.name) for path in bundle.iterdir()), reverse=True)
    lines = [f"{size / MEGABYTE:8.1f} MB  {name}" for size, name in sizes[:rows]]
    rest = sum(size for size, _ in sizes[rows:])
    lines.append(f"{rest / MEGABYTE:8.1f} MB  ({max(0, len(sizes) - rows)} more)")
    lines.append(f"{sum(size for size, _ in sizes) / MEGABYTE:8.1f} MB  total")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Command line: build one bundle and print its size table."""
    parser = argparse.ArgumentParser(prog="python -m infra.bundling", description="Build a function bundle.")
    parser.add_argument("--group", required=True, choices=sorted(GROUPS))
    parser.add_argument("--platform", default="native", choices=[*PLATFORMS, "native"])
    parser.add_argument("--out", type=Path, help="copy the bundle to this (new) folder")
    options = parser.parse_args(arguments)
    try:
        machine = native_machine() if options.platform == "native" else options.platform
        bundle = build(options.group, machine)
        if options.out is not None:
            shutil.copytree(bundle.path, options.out)
    except (BundleError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{size_table(bundle.path)}\n{options.out or bundle.path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
