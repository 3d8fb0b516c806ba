"""The loop on the deployed stack: what a model may do, and how long."""

from typing import Any

import httpx

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack
from tests.e2e.following import events_of_run, subscribed, text_of
from tests.e2e.threads import ended_run, new_assistant, new_thread, start_run, stored_messages

NATIVE = {"native_tool_calling": True, "xml_tool_calling": False}


async def said(
    http: httpx.AsyncClient, text: str, *, assistant_id: str = "agent", **configurable: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Say ``text``; the thread's messages and the ended run."""
    thread_id = await new_thread(http)
    run = await start_run(http, thread_id, text, assistant_id=assistant_id, config={"configurable": configurable})
    ended = await ended_run(http, run)
    return await stored_messages(http, thread_id), ended


async def test_a_cut_off_answer_is_continued_with_its_text_carried_on(http: httpx.AsyncClient) -> None:
    messages, run = await said(http, "[[length 3]] [[length 3]] [[say the end]]")
    assert run["status"] == "success"
    answers = [message for message in messages if message["type"] == "assistant"]
    assert [answer["metadata"]["finish_reason"] for answer in answers] == ["length", "length", "stop"]
    assert answers[-1]["content"]["content"] == "the end"
    assert {message["type"] for message in messages} == {"user", "assistant"}  # the request to continue is not kept


async def test_continuations_end_at_their_limit(http: httpx.AsyncClient) -> None:
    messages, run = await said(http, "[[length 2]] " * 5, limits={"max_auto_continues": 2})
    assert run["status"] == "success"
    assert len([message for message in messages if message["type"] == "assistant"]) == 3


async def test_a_busy_model_is_tried_again(http: httpx.AsyncClient) -> None:
    messages, run = await said(http, "[[status 429 times 2]] [[say at last]]")
    assert run["status"] == "success"
    assert messages[-1]["content"]["content"] == "at last"


async def test_a_broken_model_is_replaced_by_its_fallback(http: httpx.AsyncClient) -> None:
    messages, run = await said(
        http, "[[status 500 times 3]] [[say here I am]]", model="openai/first", fallback_models=["openai/second"]
    )
    assert run["status"] == "success"
    assert messages[-1]["metadata"]["model"] == "openai/second"


async def test_a_broken_stream_is_closed_and_begun_anew(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        run = await start_run(http, thread_id, "[[break after 3]]")
        events = await events_of_run(socket)
    assert (await ended_run(http, run))["error"]["code"] == "model_unavailable"
    data = [event["params"]["data"] for event in events if event["method"] == "messages"]
    starts = [item["id"] for item in data if item["event"] == "message-start"]
    assert len(set(starts)) == len(starts) == 3
    assert [item["event"] for item in data if item["event"] in {"message-start", "error"}] == [
        "message-start",
        "error",
    ] * 3
    assert [message["type"] for message in await stored_messages(http, thread_id)] == ["user"]


async def test_a_stalled_model_times_out(http: httpx.AsyncClient) -> None:
    _, run = await said(http, "[[stall after 2]]", limits={"model_idle_s": 1})
    assert (run["status"], run["error"]["code"]) == ("error", "model_timeout")


async def test_a_model_that_answers_nothing_fails_the_run(http: httpx.AsyncClient) -> None:
    _, run = await said(http, "[[empty]]")
    assert (run["status"], run["error"]["code"]) == ("error", "model_empty")


async def test_a_filtered_answer_fails_the_run_with_its_reason(http: httpx.AsyncClient) -> None:
    _, run = await said(http, "[[refuse filter]]")
    assert (run["status"], run["error"]["code"]) == ("error", "content_filter")


async def test_a_run_ends_at_its_wall_clock_limit_and_keeps_what_was_said(http: httpx.AsyncClient) -> None:
    messages, run = await said(http, "[[endless rate 20]]", limits={"run_s": 2})
    assert (run["status"], run["error"]["code"]) == ("timeout", "timed_out")
    assert messages[-1]["content"]["content"].startswith("token1 token2")
    assert messages[-1]["metadata"]["finish_reason"] == "timed_out"


async def test_a_run_ends_at_its_limit_of_turns(probed: RunningStack, http: httpx.AsyncClient) -> None:
    assistant = await new_assistant(http, tools=["probe"], processor=NATIVE)
    script = '[[tool note {"text": "again"}]] ' * 5
    messages, run = await said(http, script, assistant_id=assistant, limits={"max_turns": 2})
    assert (run["status"], run["error"]["code"]) == ("error", "max_turns")
    assert [message["type"] for message in messages] == ["user", "assistant", "tool", "assistant", "tool"]


async def test_reasoning_is_streamed_and_kept(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        await start_run(http, thread_id, "[[think 5]] [[say so]]")
        events = await events_of_run(socket)
    deltas = [event["params"]["data"].get("delta", {}) for event in events if event["method"] == "messages"]
    thought = "".join(delta.get("reasoning", "") for delta in deltas)
    assert thought
    assert text_of(events) == "so"
    messages = await stored_messages(http, thread_id)
    assert messages[-1]["metadata"]["reasoning"] == thought
    assert messages[-1]["content"]["content"] == "so"


async def test_images_pass_through_to_the_model(stack: RunningStack, http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    content = [
        {"type": "text", "text": f"[[say nice]] {thread_id}"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    answer = await http.post(
        f"/threads/{thread_id}/runs",
        json={"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": content}]}},
    )
    assert (await ended_run(http, answer.json()))["status"] == "success"
    async with httpx.AsyncClient(base_url=stack.fields["model_url"]) as model:
        calls = (await model.get("/calls", params={"contains": thread_id})).json()["calls"]
    assert calls[-1]["body"]["messages"][-1]["content"] == content


async def test_usage_is_that_of_all_answers(http: httpx.AsyncClient) -> None:
    messages, run = await said(http, "[[length 3]] [[say the end]]")
    used = [message["metadata"]["usage"] for message in messages if message["type"] == "assistant"]
    assert len(used) == 2
    assert run["usage"]["total_tokens"] == sum(usage["total_tokens"] for usage in used) > 0


async def test_a_runs_last_event_has_its_usage_and_the_price_where_that_is_known(
    client: Stack, http: httpx.AsyncClient
) -> None:
    for model, is_known in (("openai/gpt-4o", True), ("openai/second", False)):
        thread_id = await new_thread(http)
        async with subscribed(client, thread_id, ["lifecycle"]) as socket:
            config = {"configurable": {"model": model}}
            run = await start_run(http, thread_id, "[[length 3]] [[say the end]]", config=config)
            [*before, end] = [event["params"]["data"] for event in await events_of_run(socket)]
        assert end["event"] == "completed"
        assert end["usage"] == (await ended_run(http, run))["usage"]
        assert all("usage" not in data for data in before)
        assert ("price_usd" in end["usage"]) == is_known
        assert end["usage"]["total_tokens"] > 0
        if is_known:
            assert 0 < end["usage"]["price_usd"] < 0.01


async def test_forty_turns_in_short_steps_give_the_same_messages(probed: RunningStack, http: httpx.AsyncClient) -> None:
    assistant = await new_assistant(http, tools=["probe"], processor=NATIVE)
    script = " ".join(f'[[first 0]] [[tool note {{"text": "{number}"}}]]' for number in range(40)) + " [[say done]]"

    whole, run = await said(http, script, assistant_id=assistant)
    in_steps, stepped = await said(http, script, assistant_id=assistant, queue_time_s=1, step_time_s=1)

    assert (run["status"], stepped["status"]) == ("success", "success")
    assert len(whole) == 82

    def shown(messages: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
        return [(message["type"], message["content"]["content"]) for message in messages]

    assert shown(in_steps) == shown(whole)


async def test_a_long_conversation_is_summarised_and_the_first_message_is_known(http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    filler = "All work and no play makes for long conversations. " * 60
    for number in range(220):
        text = "[[remember colour blue]]" if number == 0 else f"{number}: {filler}"
        answer = await http.post(
            f"/threads/{thread_id}/messages", json={"role": "user" if number % 2 == 0 else "assistant", "content": text}
        )
        assert answer.status_code == 201, answer.text
    run = await start_run(http, thread_id, "[[recall colour]]")

    assert (await ended_run(http, run))["status"] == "success"
    messages = await stored_messages(http, thread_id)
    assert [message["type"] for message in messages].count("summary") == 1
    assert messages[-1]["content"]["content"] == "colour = blue"
