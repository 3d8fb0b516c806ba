"""How many values a request's JSON has: bounded before anybody makes objects, or errors, of them."""

from shared.errors import InvalidRequestError
from shared.values import ValueCount, count_at_most

MOST_VALUES = 50_000
"""Of a body, whatever they are: members of objects, items of lists, and the containers themselves."""

_URLENCODED = "application/x-www-form-urlencoded"
_FORMS = ("multipart/form-data", _URLENCODED)


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form's. Any other is read as JSON, whatever it claims to be."""
    return content_type.lower().startswith(_FORMS)


def is_urlencoded(content_type: str) -> bool:
    """Whether it is one whose fields stand in one line."""
    return content_type.lower().startswith(_URLENCODED)


def require_few_values(body: bytes) -> None:
    """See to it that ``body``, JSON or what claims to be, is UTF-8 and has ``MOST_VALUES`` at most.

    Raises:
        InvalidRequestError: it has more, or is not UTF-8, which parsers guess: they would find other values in it.
    """
    # No JSON in UTF-8 has one, and none in another encoding is without.
    if b"\0" in body:
        raise InvalidRequestError("the body is not JSON in UTF-8, the only encoding that is read")
    # Most have few of these characters at all; long texts and files in base64 lose theirs with their strings.
    if count_at_most(body) > MOST_VALUES and ValueCount().take(body) > MOST_VALUES:
        raise InvalidRequestError(
            f"the body has more than {MOST_VALUES:,} values (items of lists, members of objects): send less at once,"
            " or as text"
        )
