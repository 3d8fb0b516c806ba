"""The LocalStack that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.localstack.server import LocalStack, localstack_server


@pytest.fixture(scope="session")
def localstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A LocalStack on free ports with a state of its own."""
    folder = tmp_path_factory.mktemp("localstack")
    with localstack_server(folder, SUNA_DYNAMODB_TTL_SWEEP_S="0.2") as running:
        yield running
