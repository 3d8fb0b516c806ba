"""What the tests of tools share."""

from uuid import uuid4

import pytest

from functions.runner.tools import ToolContext


@pytest.fixture
def context() -> ToolContext:
    """For whom a call is made."""
    return ToolContext(call_id="call-1", agent_run_id=uuid4(), thread_id=uuid4(), account_id="account")
