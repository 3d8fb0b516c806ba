"""What a conversation asks of the model: which turn of which script, which facts it was given, what to summarise."""

import re
from typing import Any

from suna_localstack.json_types import is_array, is_object
from suna_localstack.model.script import DEFAULT_RATE, ScriptError, Text, Turn, split_tokens, turns

Message = dict[str, Any]

_RESULT = re.compile(r"\s*(<tool_result|<function_result|\{\s*\"tool_execution\")")
_CONTINUE = re.compile(r"\s*continue\b", re.IGNORECASE)
_SUMMARISER = re.compile(r"summari[sz](ation|er\b|e (the|this|our)\b)|rolling summary|write a summary", re.IGNORECASE)
_FACT = re.compile(r"\[\[\s*remember\s+([\w.-]+)\s+(.+?)\s*\]\]|\bfact:\s*([\w.-]+)\s*=\s*([^\n]+)")


def text_of(message: Message) -> str:
    """The text of a message whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if is_array(content):
        return "\n".join(str(part.get("text", "")) for part in content if is_object(part))
    return ""


def facts(messages: list[Message]) -> dict[str, str]:
    """Facts stated as ``[[remember name value]]`` or ``fact: name = value``; later statements win."""
    found: dict[str, str] = {}
    for message in messages:
        for match in _FACT.finditer(text_of(message)):
            name, value = (match.group(1), match.group(2)) if match.group(1) else (match.group(3), match.group(4))
            found[name] = value.strip()
    return found


def wants_summary(messages: list[Message]) -> bool:
    """Whether a summariser calls: its system prompt says so, or the last message ends with ``[[summarise]]``."""
    system = " ".join(text_of(m) for m in messages if m.get("role") in {"system", "developer"})[:600]
    last = text_of(messages[-1]) if messages else ""
    return bool(_SUMMARISER.search(system)) or bool(re.search(r"\[\[\s*summari[sz]e\s*\]\]", last[-400:]))


def summary(messages: list[Message]) -> str:
    """A summary made of nothing but the given messages: their facts, and how the first and last lines begin."""
    given = [m for m in messages if m.get("role") not in {"system", "developer"}]
    lines = [f"Summary of {len(given)} messages."]
    lines += [f"fact: {name} = {value}" for name, value in facts(messages).items()]
    said = [re.sub(r"\[\[.*?\]\]", "", text_of(m), flags=re.DOTALL).strip().splitlines() for m in given]
    openings = [text[0][:120] for text in said if text]
    lines += [f"- {opening}" for opening in openings[:3] + openings[3:][-3:]]
    return "\n".join(lines)


def default_answer(question: str, results: list[str]) -> str:
    """A plausible answer that shows what it was asked and what its tools returned."""
    topic = " ".join(question.split())[:200] or "nothing in particular"
    opening = f"You asked: “{topic}”. "
    if results:
        opening += f"The tool answered: {results[-1][:200]} "
    return opening + (
        "I am the scripted model of the local stack, so this answer is made up, but the way it reached you is not: "
        "your message was recorded in PostgreSQL, waited in a queue, was picked up by a runner, and each word was "
        "streamed back over the WebSocket as it was written. Set MODEL and your provider's key to talk to a real one."
    )


def plan(messages: list[Message]) -> Turn:
    """The turn that answers ``messages``.

    Raises:
        ScriptError: the script cannot be understood.
    """
    if not messages:
        raise ScriptError("messages must not be empty")
    if wants_summary(messages):
        return Turn(steps=[Text(split_tokens(summary(messages)), rate=0)])
    asked = -1
    for index, message in enumerate(messages):
        text = text_of(message)
        if message.get("role") != "user" or _RESULT.match(text):
            continue
        if asked >= 0 and _CONTINUE.match(text) and "[[" not in text:
            continue
        asked = index
    question = text_of(messages[asked]) if asked >= 0 else ""
    after = messages[asked + 1 :]
    script = turns(question)
    # A result may stand in the assistant's name, too: it is no answer.
    done = sum(1 for message in after if message.get("role") == "assistant" and not _RESULT.match(text_of(message)))
    if done < len(script):
        turn = script[done]
        if turn.recalls:
            known = facts(messages)
            said = [f"{n} = {known[n]}" if n in known else f"I was not told {n}." for n in turn.recalls]
            turn.steps = [Text(split_tokens("\n".join(said)), DEFAULT_RATE)]
        return turn
    results = [text_of(m) for m in after if m.get("role") == "tool" or _RESULT.match(text_of(m))]
    plain = re.sub(r"\[\[.*?\]\]", "", question, flags=re.DOTALL).strip()
    return Turn(steps=[Text(split_tokens(default_answer(plain, results)))])
