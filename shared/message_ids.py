"""Ids of messages. Those that are made here are a space of their own: clients choose none in it.

The id of an answer is told before its message stands anywhere. Whoever hears it could have another message take it.
"""

from uuid import UUID, uuid4

# "Custom" (https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8): no library makes such ids for clients.
_VERSION = 8


def new_message_id() -> UUID:
    """A random id, of version 8."""
    octets = bytearray(uuid4().bytes)
    octets[6] = _VERSION << 4 | octets[6] & 0x0F
    return UUID(bytes=bytes(octets))


def is_made_here(message_id: UUID) -> bool:
    """Whether the id is of those that :func:`new_message_id` makes."""
    return message_id.version == _VERSION
