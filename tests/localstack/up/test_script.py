"""The directive language and how a turn is chosen."""

import json

import pytest

from suna_localstack.model.conversation import plan, text_of
from suna_localstack.model.script import Call, Calls, Cut, Pause, ScriptError, Status, Text, turns


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def said(messages: list[dict]) -> str:
    return "".join(token for step in plan(messages).steps if isinstance(step, Text) for token in step.tokens)


def test_text_without_directives_is_no_script() -> None:
    assert turns("How are you? [not a directive] [[1, 2], [3]]") == []


def test_json_arguments_may_hold_brackets_and_quotes() -> None:
    (turn, _) = [*turns('[[tool search {"query": "a]] [[b \\" {"}]]'), None]

    assert turn is not None
    assert turn.steps == [Calls((Call("search", json.dumps({"query": 'a]] [[b " {'})),))]
    assert turn.finish_reason == "tool_calls"


def test_each_tool_call_ends_a_turn_unless_parallel() -> None:
    one_by_one = turns('[[tools a {"x": 1} b]] [[say done]]')
    together = turns('[[tools parallel a {"x": 1} b]]')

    assert [turn.finish_reason for turn in one_by_one] == ["tool_calls", "tool_calls", "stop"]
    assert together[0].steps == [Calls((Call("a", '{"x": 1}'), Call("b", "{}")))]


def test_steps_keep_their_order_and_rates() -> None:
    (turn,) = turns("[[first 0]] [[rate 100]] [[tokens 2]] [[delay 0.5]] [[tokens 1 rate 7]] [[stall after 1 for 2]]")

    assert turn.first_s == 0
    assert turn.steps == [
        Text(("token1 ", "token2 "), 100),
        Pause(0.5),
        Text(("token1 ",), 7),
        Text(("token1 ",), 100),
        Pause(2),
    ]


def test_failures() -> None:
    (turn,) = turns("[[status 429 times 2 key abc retry 1]] [[break after 3]]")

    assert turn.statuses == [Status(429, 2, "abc", 1.0)]
    assert turn.steps[-1] == Cut()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[bogus]]", "unknown directive 'bogus'"),
        ("[[tokens many]]", "argument 1 must be a number"),
        ("[[tokens 5", "no closing"),
        ('[[tool a {"x": }]]', "bad JSON"),
        ("[[tools parallel]]", "no tool named"),
        ("[[tokens 5 rate fast]]", "rate must be a number"),
    ],
)
def test_what_cannot_be_understood_is_quoted(text: str, reason: str) -> None:
    with pytest.raises(ScriptError, match=reason):
        turns(text)


def test_assistant_messages_after_the_script_choose_the_turn() -> None:
    script = user('[[tool a]] [[xml b {"n": 1}]] [[say finished]]')
    call = {"role": "assistant", "content": None, "tool_calls": []}
    result = {"role": "tool", "tool_call_id": "1", "content": "found"}
    xml = {"role": "assistant", "content": "<function_calls>…"}
    xml_result = user('<tool_result name="b">ok</tool_result>')

    assert isinstance(plan([script]).steps[0], Calls)
    assert '<invoke name="b">\n<parameter name="n">1</parameter>' in said([script, call, result])
    assert said([script, call, result, xml, xml_result]) == "finished"
    assert "<tool_result" in said([script, call, result, xml, xml_result, {"role": "assistant", "content": "finished"}])


def test_a_new_question_starts_anew_and_continue_does_not() -> None:
    script = user("[[length 2]] [[say the rest]]")
    part = {"role": "assistant", "content": "token1 token2 "}

    assert plan([script]).finish_reason == "length"
    assert said([script, part]) == "the rest"
    assert said([script, part, user("Continue from where you stopped.")]) == "the rest"
    assert "Why?" in said([script, part, user("Why?")])


def test_recall_knows_only_what_it_is_given() -> None:
    told = user("[[remember colour dark blue]] [[say noted]]")

    assert said([told]) == "noted"
    assert said([told, user("[[recall colour size]]")]) == "colour = dark blue\nI was not told size."
    assert said([user("[[recall colour]]")]) == "I was not told colour."


def test_a_summary_is_made_of_the_given_facts_and_executes_nothing() -> None:
    system = {"role": "system", "content": "You are a summarization assistant."}
    conversation = [user("[[remember colour blue]] [[status 500]] My favourite."), user("And size? [[tokens 900]]")]

    summary = said([system, *conversation])

    assert "fact: colour = blue" in summary
    assert "My favourite." in summary
    assert "token1" not in summary
    assert said([user(summary), user("[[recall colour]]")]) == "colour = blue"


def test_text_parts_are_read_as_text() -> None:
    assert text_of({"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]}) == "a\n"
