"""What the functions have opened is closed when Lambda ends their process between invocations."""

import pytest

from tests.integration.conftest import StartFunction

# As every function that calls models has it: nothing is fetched at the import.
MODEL = {"DEFAULT_MODEL": "openai/scripted", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


@pytest.mark.parametrize(
    ("handler", "closers"),
    [
        ("functions.api.http.main.handler", 1),
        ("functions.api.websocket.main.handler", 1),
        ("functions.api.sender.main.handler", 2),
        ("functions.runner.main.queue_handler", 1),
    ],
)
def test_an_idle_function_that_is_told_to_end_closes_all_it_has_opened(
    start_function: StartFunction, handler: str, closers: int
) -> None:
    # GIVEN a function that has connected while it initialised, as Lambda has it do
    function = start_function(handler, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand", **MODEL)
    function.wait_until_ready()
    # WHEN it is told to end THEN it closes everything in time, and ends well
    assert function.end() == 0
    lines = function.log_lines()
    assert [(line["closed"], line["late"]) for line in lines if line["message"] == "closed at the end"] == [
        (closers, 0)
    ]
    assert [line for line in lines if line["level"] in {"WARNING", "ERROR"}] == []
