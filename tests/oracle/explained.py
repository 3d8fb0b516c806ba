"""The differences from the oracle that stay, each with its reason. docs/sdk.md has them as a table."""

from pathlib import Path

from tests.oracle.compare import Explained

_OWN = "its own bookkeeping; metadata here is what clients have given"
_LAX = "it answers 200 to whatever it does not look at; here a wrong request is told so"
_LEGACY = "fields of older clients: `checkpoint` has the same"
_STATE = "a state is asked for with `get_state`, so that a search does not read every thread's messages"
_WHOLE = "bodies come whole, so there is nothing to reconnect to"
_STEPS = "one state a message; its are one a step of a graph, with an empty one first"
_ASKED = "the value is the call that asks: `name`, `arguments`"
_MODEL = "what OpenAI's client adds; here answers of all models look alike"
_USAGE = "its model is not asked for usage while it streams; ours always is"
_ANSWER = "a question is answered by its tool, and stands among the messages at once; its tool waits for the answer"
_IDEMPOTENT = "stopping is idempotent, and answers the run as it is"
_KEPT = "what is unfinished is stopped first: nothing is deleted under a running process"
_VALUES = "over the WebSocket `values` comes only after a gap; a state is asked for with `get_state`"

EXPLAINED: tuple[Explained, ...] = (
    # Assistants.
    Explained("assistants.create", "status 501, theirs status 200", "there is no context: `config.configurable` is it"),
    Explained("assistants.get", "status 200, theirs status 422", "`agent` is an assistant's id here"),
    Explained("assistants.get", "status 404, theirs status 422", "an id need not be a UUID: see `agent`"),
    Explained(
        "assistants.get_versions", " is list of 2, theirs list of 1", "metadata is the assistant's, not a version's"
    ),
    Explained("assistants.search", "status 200, theirs status 404", "nothing is found for a graph that does not exist"),
    # Threads and their states.
    Explained("threads.delete", "status 409, theirs status 204", _KEPT),
    Explained("threads.get", ".values is null, theirs object", _STATE),
    Explained("threads.get", "lacks .values.messages", _STATE),
    Explained("threads.get", "lacks .error", "`status` says it, and `get_state` what went wrong"),
    Explained("threads.get", "lacks .config.configurable", _OWN),
    Explained("threads.get", ".status is 'idle', theirs 'interrupted'", "what was stopped waits for nobody's answer"),
    Explained("threads.get", "lacks .interrupts.<id>[].value.text", _ASKED),
    Explained("threads.get_state", "lacks *.value.text", _ASKED),
    Explained("threads.get_*", "lacks *metadata.*", _OWN),
    Explained("threads.get_*", "lacks *checkpoint_id", _LEGACY),
    Explained("threads.update_state", "lacks .configurable", _LEGACY),
    Explained("threads.update_state", "lacks .checkpoint_id", _LEGACY),
    Explained("threads.get_state", "*, theirs null", "a thread without messages has a checkpoint too", "empty"),
    Explained("threads.get_state", "lacks .*", "`select` leaves out what was not selected", "selected"),
    Explained("threads.get_state", "status 404, theirs status 200", _LAX),
    Explained("threads.get_state", ".parent_checkpoint is null, theirs object", _STEPS),
    Explained("threads.get_state", "lacks .parent_checkpoint.*", _STEPS),
    Explained("threads.get_state", "lacks .tasks[].path", "a graph's; a task is a run here"),
    Explained("threads.get_state", ".next is [], theirs ['agent']", "a run that has failed is not continued"),
    Explained("threads.get_state", ".next is ['agent'], theirs ['tools']", "there is one node"),
    Explained("threads.get_state", ".values.messages is list of 3, theirs list of 2", _ANSWER),
    Explained("threads.get_history", "* is list of *, theirs list of *", _STEPS),
    Explained("threads.get_history", "[].next is [], theirs ['__start__']", _STEPS),
    Explained("threads.get_history", "lacks [].tasks[]", _STEPS),
    Explained("threads.get_history", "status 200, theirs status 500", "it fails on a checkpoint as `before`"),
    # Runs.
    Explained("runs.create", "status 404, theirs status 422", "an assistant's id need not be a UUID"),
    Explained("runs.*", "lacks *.kwargs", "what a run was started with may hold credentials"),
    Explained("runs.*", "lacks *.langsmith_session_name", "there is no LangSmith"),
    Explained("runs.*", "lacks *metadata.*", _OWN),
    Explained(
        "runs.get", "status 200, theirs status 404", "a run that was rolled back is kept; its messages are hidden"
    ),
    Explained("runs.list", "status 422, theirs status 200", _LAX),
    Explained("runs.delete", "status 409, theirs status 204", _KEPT),
    Explained("runs.cancel*", "status 200, theirs status 20*", _IDEMPOTENT),
    Explained("runs.cancel*", "status 200, theirs status 404", _IDEMPOTENT),
    Explained("runs.cancel", " is object, theirs null", _IDEMPOTENT),
    Explained("runs.cancel_many", "status 200, theirs status 422", "a status narrows a thread's runs"),
    Explained("runs.cancel", "lacks the header *", _WHOLE),
    Explained("runs.join*", "lacks the header *", _WHOLE),
    Explained("runs.wait", "lacks the header location", _WHOLE),
    Explained("runs.join*", "status 404, theirs status 200", _LAX),
    Explained("runs.wait", ".messages is list of *, theirs list of *", _ANSWER, "a*ed"),
    Explained("runs.wait", "lacks .__interrupt__[].value.text", _ASKED),
    Explained("runs.*", "lacks *.response_schema", "null there; what may be answered stands in the tool's description"),
    # Streams of runs.
    Explained("runs.*stream", "ends with the event end", "an end in words: a body also ends with each slice"),
    Explained("runs.join_stream", "order , theirs error", _LAX, "unknown*"),
    Explained(
        "runs.join_stream", "order metadata values, theirs values", "a stream that is joined is told from its beginning"
    ),
    Explained(
        "runs.join_stream", "order metadata values, theirs ", "a run that has ended is told from its beginning too"
    ),
    Explained("runs.stream", "status 501, theirs status 422", "a mode that does not exist here is not supported"),
    Explained("runs.stream", "status 200, theirs status 422", "it knows these modes in other places of its API"),
    Explained("runs.stream", "order metadata, theirs ", "it knows these modes in other places of its API"),
    Explained(
        "runs.stream",
        "order metadata messages/metadata messages/partial messages/complete, "
        "theirs metadata messages/metadata messages/partial",
        "a message is told once more when it is whole",
        "messages",
    ),
    Explained("runs.stream", "lacks messages/metadata.lc_run--<id>", "a message's id is a UUID"),
    Explained("runs.stream", "lacks *.value.text", _ASKED),
    Explained("runs.stream", "lacks updates.tools", _ANSWER, "answered*"),
    Explained("runs.stream", "values.messages is list of *, theirs list of *", _ANSWER, "a*ed*"),
    Explained("*", "lacks *additional_kwargs.refusal", _MODEL),
    Explained("runs.stream", "lacks *.chunk_position", _MODEL),
    Explained("runs.*", "*.usage_metadata is object, theirs null", _USAGE),
    Explained("runs.stream", "lacks *usage_metadata.*", _MODEL),
    Explained("runs.stream", "lacks events.*", "events of a graph's nodes, which are not here", "events"),
    Explained("runs.stream", "lacks messages[].*", _OWN),
    # Threads' events over the WebSocket.
    Explained("threads.stream", "lacks lifecycle:*.graph_name", "there is one graph"),
    Explained("threads.stream", "lacks values", _VALUES),
    Explained("threads.stream", "lacks messages:content-block-delta", "a call's arguments come whole", "asked"),
    Explained("threads.stream", "lacks *.content.index", "the event has it"),
    Explained("threads.stream", "lacks input.requested.params.data.payload.text", _ASKED),
    Explained("threads.stream", "lacks *metadata.*", _OWN),
    Explained("threads.stream", "lacks messages:message-finish.params.data.metadata", _MODEL),
    Explained(
        "threads.stream",
        "order lifecycle:running messages:message-start messages:content-block-start messages:content-block-finish * "
        "theirs lifecycle:running messages:message-start messages:content-block-start messages:content-block-delta *",
        "a call's arguments come whole",
        "asked",
    ),
    Explained(
        "threads.stream",
        "order lifecycle:running messages:message-start messages:error lifecycle:failed, "
        "theirs lifecycle:running lifecycle:failed",
        "a message that was begun is closed before the run fails",
        "failed",
    ),
)

DOCUMENT = Path(__file__).parents[2] / "docs/sdk.md"
_BEGIN, _AFTER = "| method | otherwise here |", "\n\n"


def table() -> str:
    """The table in Markdown."""
    rows = [
        f"| `{one.method}` | `{one.what.strip()}`{f' ({one.case})' * (one.case != '*')} | {one.reason} |"
        for one in EXPLAINED
    ]
    return "\n".join([f"{_BEGIN} because |", "|---|---|---|", *rows])


def documented(text: str) -> str:
    """The document with the table as it is here."""
    before, begin, rest = text.partition(_BEGIN)
    assert begin, f"docs/sdk.md has no table {_BEGIN!r}"
    return f"{before}{table()}{_AFTER}{rest.partition(_AFTER)[2]}"


if __name__ == "__main__":
    DOCUMENT.write_text(documented(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
