"""Ports that are chosen before anybody listens on them."""

import pytest

from suna_localstack.services import ports


def test_no_port_is_chosen_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    few = next(
        few
        for few in (range(first, first + 3) for first in range(10_000, 32_000, 3))
        if all(ports.is_free(port) for port in few)
    )
    monkeypatch.setattr(ports, "_PORTS", few)
    monkeypatch.setattr(ports, "_chosen", set())

    assert {ports.free_port() for _ in few} == set(few)
    with pytest.raises(OSError, match="free ports"):
        ports.free_port()
