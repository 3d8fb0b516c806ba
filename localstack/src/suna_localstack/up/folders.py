"""Where everything generated lives."""

import os
from dataclasses import dataclass
from pathlib import Path

GROUPS = ("api", "runner", "summarizer")


@dataclass(frozen=True)
class Folders:
    """Folders of one stack.

    ``private`` belongs to this stack (state, logs, ``stack.json``); ``shared`` holds what stacks of one clone share
    (environments, code folders, the synthesized template). Both are ``.local`` unless ``SUNA_LOCAL_DIR`` is set.
    """

    root: Path
    private: Path

    @classmethod
    def from_environment(cls) -> "Folders":
        root = Path(__file__).resolve().parents[4]
        return cls(root, (root / os.environ.get("SUNA_LOCAL_DIR", ".local")).resolve())

    @property
    def shared(self) -> Path:
        return self.root / ".local"

    @property
    def logs(self) -> Path:
        return self.private / "logs"

    @property
    def state(self) -> Path:
        return self.private / "state"

    @property
    def stack_file(self) -> Path:
        return self.private / "stack.json"

    @property
    def env_file(self) -> Path:
        """What a shell needs of ``stack_file``: BASE and TOKEN."""
        return self.private / "stack.env"

    @property
    def processes_file(self) -> Path:
        return self.state / "processes.json"

    @property
    def parameters_file(self) -> Path:
        return self.state / "parameters.json"

    @property
    def environment_file(self) -> Path:
        """What of the environment the servers were started with."""
        return self.state / "environment.json"

    @property
    def code(self) -> Path:
        return self.shared / "code"

    @property
    def assembly(self) -> Path:
        return self.shared / "cdk.out" / "local"

    @property
    def template(self) -> Path:
        return self.assembly / "suna-local.template.json"

    @property
    def page(self) -> Path:
        """The built chat page."""
        return self.root / "clients" / "web" / "dist"

    @property
    def page_config(self) -> Path:
        return self.state / "page.json"

    @property
    def redis(self) -> Path:
        return self.shared / "redis"

    @property
    def uv(self) -> Path:
        return self.shared / "tools" / "bin" / "uv"

    @property
    def dev_python(self) -> Path:
        return self.shared / "venvs" / "dev" / "bin" / "python"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
