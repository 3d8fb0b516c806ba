"""Services that are loaded while requests for others come."""

import subprocess
import sys
from pathlib import Path

_LOAD_BOTH = """
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from localstack.services.plugins import Service, ServicePluginManager
from suna_localstack.host import warmup


class SlowDisk:
    def find_spec(self, name, path=None, target=None):
        if name == "whole":
            time.sleep(0.2)


class Services(ServicePluginManager):
    def exists(self, name):
        return True

    def _load_service_plugin(self, name):
        __import__(name)
        return SimpleNamespace(service=Service(name))


sys.meta_path.insert(0, SlowDisk())
services = Services()
warmup.load_one_service_at_a_time(services)
with ThreadPoolExecutor(2) as pool:
    for container in pool.map(services.get_service_container, ["whole", "whole.part"]):
        print(container.service.name())
"""


def test_a_package_and_a_part_that_it_imports_are_loaded_at_the_same_time(tmp_path: Path) -> None:
    # One thread holds the package and waits for the part, the other holds the part and waits for the package.
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "__init__.py").write_text("import whole.part\n")
    (tmp_path / "whole" / "part.py").touch()
    # In a process of its own: LocalStack looks for Docker when it is imported, and leaves a socket behind.
    command = [sys.executable, "-c", _LOAD_BOTH]
    loaded = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (loaded.stdout.split(), loaded.stderr) == (["whole", "whole.part"], "")
