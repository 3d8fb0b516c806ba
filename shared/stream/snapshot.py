"""A thread as clients see its state: the messages, as LangChain writes them."""

from uuid import UUID

from shared.database import checkpoints, connection
from shared.domain import Json, Message, MessageType

WIRE_TYPES: dict[MessageType, str] = {
    "user": "human",
    "assistant": "ai",
    "system": "system",
    "tool": "tool",
    "summary": "system",
}

_MOST_MESSAGES = 200


def wire_message(message: Message) -> Json:
    """A message as LangChain writes it: ``type``, ``content``, ``id``, and what else the model was given."""
    extra = {key: value for key, value in message.content.items() if key not in {"role", "content"}}
    return {
        "type": WIRE_TYPES[message.type],
        "content": message.content.get("content") or "",
        "id": str(message.message_id),
        **extra,
    }


async def snapshot(*, thread_id: UUID, account_id: str) -> list[Json]:
    """The thread's newest messages, oldest of them first."""
    async with connection() as taken:
        newest = await checkpoints.until(taken, thread_id=thread_id, account_id=account_id, limit=_MOST_MESSAGES)
    return [wire_message(message) for message in newest]
