"""A thread that grows turn by turn, and a real model server that answers only from what it is given."""

import os

# litellm without the network: its import would otherwise ask for a newer list of models.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest

from shared.context.manager import ContextManager
from shared.llm import Llm
from shared.settings import ModelSettings
from tests.integration.context.growing import GrowingThread
from tests.integration.context.model_server import ModelServer, model_server
from tests.integration.databases import Database

MODEL = "openai/scripted"


@pytest.fixture(scope="session")
def _model() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def model(_model: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """The scripted model, with its calls of before forgotten, as litellm's OpenAI."""
    _model.forget()
    monkeypatch.setenv("OPENAI_API_BASE", f"{_model.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "scripted")
    return _model


@pytest.fixture
async def llm() -> AsyncIterator[Llm]:
    """litellm, with the keys of the environment."""
    llm = Llm(ModelSettings(default_model=MODEL))
    yield llm
    await llm.close()


@pytest.fixture
def manager(llm: Llm) -> ContextManager:
    """With a small budget, so that threads need not be long."""
    return ContextManager(llm=llm, threshold=4000)


@pytest.fixture
async def thread(database: Database, account_id: str) -> GrowingThread:
    """An empty thread."""
    thread_id: UUID = await database.new_thread(account_id)
    return GrowingThread(database, thread_id, account_id)
