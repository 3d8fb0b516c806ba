"""Files for people outside: they can be read, agree with each other, and lead somewhere."""

import json
import re
import tomllib
from pathlib import Path
from subprocess import run

import pytest
import yaml

from functions.api.version import VERSION

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def _tracked(*patterns: str) -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns]
    listed = run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name]


def test_there_is_one_version() -> None:
    said = {
        "functions/api/version.py": VERSION,
        "pyproject.toml": tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        "localstack": tomllib.loads((ROOT / "localstack/pyproject.toml").read_text())["project"]["version"],
        "clients/web": json.loads((ROOT / "clients/web/package.json").read_text())["version"],
        "clients/web's lock": json.loads((ROOT / "clients/web/package-lock.json").read_text())["version"],
    }
    for name in ("openapi", "asyncapi"):
        said[name] = json.loads((ROOT / f"docs/{name}.json").read_text())["info"]["version"]
    assert said == dict.fromkeys(said, said["pyproject.toml"])
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


def test_there_is_one_licence() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    manifests = [
        tomllib.loads((ROOT / name).read_text())["project"] for name in ("pyproject.toml", "localstack/pyproject.toml")
    ]
    manifests += [json.loads(file.read_text()) for file in _tracked("package.json")]
    assert {manifest["license"] for manifest in manifests} == {"Apache-2.0"}


def test_yaml_can_be_read() -> None:
    files = _tracked("*.yml", "*.yaml")
    assert {".pre-commit-config.yaml", "ci.yml", "bug.yml", "feature.yml"} <= {file.name for file in files}
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict), file
    json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())


def test_github_runs_what_ci_runs_and_writes_nothing() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"] == 90
    assert job["steps"][-1] == {"run": "bash .ci/run"}


@pytest.mark.parametrize("file", _tracked("*.md"), ids=lambda file: str(file.relative_to(ROOT)))
def test_relative_links_lead_somewhere(file: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(file.read_text(encoding="utf-8")) if "://" not in link]
    assert [target for target in targets if target and not (file.parent / target).exists()] == []


def test_each_threat_is_named_once_with_tests_that_there_are() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    _, *threats = rows
    assert all(len(row) == 4 for row in threats), [row for row in threats if len(row) != 4]
    what = [row[0] for row in threats if row[0]]
    assert len(set(what)) == len(what)
    assert len({row[1] for row in threats}) == len(threats)
    files = {path.name for path in (ROOT / "tests").rglob("*.py")} | {path.name for path in _tracked("*.test.ts")}
    named = set(re.findall(r"`(?:[\w/]+/)?(test_\w+\.py|\w+\.test\.ts)`", "".join(row[3] for row in threats)))
    assert named, "the search finds something"
    assert named <= files
