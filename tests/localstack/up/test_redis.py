"""The embedded Redis, as real processes."""

from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from redis.cluster import RedisCluster
from redis.exceptions import ClusterCrossSlotError

from suna_localstack.services import redis_install
from suna_localstack.services.external import ExternalServiceUnusable, check_redis
from suna_localstack.services.ports import HOST
from suna_localstack.services.redis import find_binary, start_redis
from suna_localstack.up.folders import Folders
from tests.localstack.up.commands import alive


def _is_cluster(url: str) -> bool:
    folders = Folders.from_environment()
    return check_redis(url, root=folders.root, python=folders.dev_python)


def _refused(url: str, reason: str) -> None:
    with pytest.raises(ExternalServiceUnusable, match=reason) as raised:
        _is_cluster(url)
    assert "wrong" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


async def test_is_a_cluster_of_one_on_loopback_only(tmp_path: Path, redis_folder: Path, children: list) -> None:
    binary = find_binary(redis_folder)
    assert binary is not None
    server = await start_redis(tmp_path / "redis", server=binary, log=tmp_path / "redis.log", marks={})
    children.append(server.child)

    client = RedisCluster.from_url(server.url)
    client.set("{thread}:a", "1")
    listening = {
        (entry.laddr.ip, entry.laddr.port)
        for entry in psutil.Process(server.child.pid).net_connections("inet")
        if entry.status == psutil.CONN_LISTEN
    }

    assert client.mget("{thread}:a", "{thread}:b") == [b"1", None]
    with pytest.raises(ClusterCrossSlotError), redis.Redis(host=HOST, port=server.port) as plain:
        plain.mget("{one}:a", "{two}:b")
    assert listening == {(HOST, server.port), (HOST, server.port + 10000)}
    assert _is_cluster(server.url) is True
    client.close()


async def test_comes_back_on_the_same_port_with_all_slots(tmp_path: Path, redis_folder: Path, children: list) -> None:
    binary = find_binary(redis_folder)
    assert binary is not None
    first = await start_redis(tmp_path / "redis", server=binary, log=tmp_path / "redis.log", marks={})
    first.child.process.kill()
    await first.child.process.wait()

    second = await start_redis(tmp_path / "redis", server=binary, log=tmp_path / "redis.log", marks={}, port=first.port)
    children.append(second.child)

    assert second.url == first.url
    assert _is_cluster(second.url) is True
    assert not alive(first.child.pid)


async def test_comes_back_with_what_a_dump_has(tmp_path: Path, redis_folder: Path, children: list) -> None:
    binary = find_binary(redis_folder)
    assert binary is not None
    first = await start_redis(tmp_path / "redis", server=binary, log=tmp_path / "redis.log", marks={})
    with redis.Redis(host=HOST, port=first.port) as client:
        client.set("kept", "1")
        client.save()
    first.child.process.kill()
    await first.child.process.wait()

    second = await start_redis(tmp_path / "redis", server=binary, log=tmp_path / "redis.log", marks={}, port=first.port)
    children.append(second.child)

    with redis.Redis(host=HOST, port=second.port) as client:
        assert client.get("kept") == b"1"
        state: Any = client.cluster("INFO")
        assert state["cluster_slots_assigned"] == "16384"


async def test_a_redis_of_the_user_need_not_be_a_cluster_but_has_to_do_what_the_functions_ask_of_it(
    tmp_path: Path, redis_folder: Path, children: list
) -> None:
    binary = find_binary(redis_folder)
    assert binary is not None
    server = await start_redis(tmp_path / "redis", server=binary, log=tmp_path / "redis.log", marks={}, cluster=False)
    children.append(server.child)
    address = f"{HOST}:{server.port}/0"
    assert not _is_cluster(server.url)
    with redis.Redis(host=HOST, port=server.port) as client:
        assert not client.keys("{*"), "something is left of the check"
        client.acl_setuser("unscripted", enabled=True, passwords=["+x"], keys="*", categories=["+@all", "-@scripting"])
        client.acl_setuser("waitless", enabled=True, passwords=["+x"], keys="*", categories=["+@all", "-@blocking"])
        client.acl_setuser("full", enabled=True, passwords=["+right"], keys="*", categories=["+@all"])
        for url, reason in {
            f"redis://full:wrong@{address}": "refuses the password",
            f"redis://unscripted:x@{address}": "does not permit its user what is needed",
            f"redis://waitless:x@{address}": "does not permit its user what is needed",
            f"redis://{HOST}:1/0": "does not work .*connecting",
            f"http://{address}": "is no Redis URL",
        }.items():
            _refused(url, reason)
        client.replicaof(HOST, 1)
        _refused(f"redis://full:right@{address}", "is a replica that takes no writes")


def test_a_missing_compiler_is_named_with_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)

    assert redis_install.is_needed(tmp_path)
    with pytest.raises(redis_install.RedisCannotBeBuilt, match=r"gcc and make is missing: .* redis-server .*REDIS_URL"):
        redis_install.install_command(tmp_path, uv="uv", python=Path("python"))
