"""How each error looks from outside: its HTTP status and its code on the wire. The one table of them."""

from dataclasses import dataclass

from functions.api.endings import StillRunningError
from shared.errors import (
    BodyTooLargeError,
    BudgetExceededError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    LimitExceededError,
    NoSuchInterruptError,
    NoSuchNamespaceError,
    NotFoundError,
    NotSupportedError,
    RateLimitedError,
    SunaError,
    UnauthenticatedError,
    UnavailableError,
    UnknownCommandError,
)


@dataclass(frozen=True)
class Appearance:
    """``code`` is that of REST; ``command_error`` the one of the Agent Streaming Protocol's ``ErrorCode``."""

    status: int
    code: str
    command_error: str = "unknown_error"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong on our side: not what is not built, or takes longer than a request may."""
        return self.status >= 500 and self.status not in {501, 504}


_TABLE: dict[type[SunaError], Appearance] = {
    InvalidRequestError: Appearance(422, "invalid_argument", "invalid_argument"),
    UnauthenticatedError: Appearance(401, "unauthenticated", "permission_denied", (("www-authenticate", "Bearer"),)),
    ForbiddenError: Appearance(403, "forbidden", "permission_denied"),
    NotFoundError: Appearance(404, "not_found", "invalid_argument"),
    ConflictError: Appearance(409, "conflict", "invalid_argument"),
    BodyTooLargeError: Appearance(413, "body_too_large", "invalid_argument"),
    LimitExceededError: Appearance(429, "limit_exceeded", "invalid_argument", (("retry-after", "5"),)),
    # As below.
    BudgetExceededError: Appearance(429, "budget_exceeded", "invalid_argument", (("retry-after", "3600"),)),
    NoSuchInterruptError: Appearance(404, "not_found", "no_such_interrupt"),
    NoSuchNamespaceError: Appearance(404, "not_found", "no_such_namespace"),
    # Its message says when to come back, and the answer's header.
    RateLimitedError: Appearance(429, "rate_limited", "invalid_argument", (("retry-after", "1"),)),
    NotSupportedError: Appearance(501, "not_supported", "not_supported"),
    UnknownCommandError: Appearance(400, "unknown_command", "unknown_command"),
    # Whatever it is, its message says so.
    UnavailableError: Appearance(503, "unavailable", headers=(("retry-after", "2"),)),
    StillRunningError: Appearance(504, "still_running"),
}

INTERNAL = Appearance(500, "internal")

# What the framework itself answers.
CODES = {400: "invalid_argument", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


# The protocol's code of every error that a command may be answered with.
COMMAND_ERRORS = frozenset(look.command_error for look in (*_TABLE.values(), INTERNAL))


def appearance(error: BaseException) -> Appearance:
    """How ``error`` looks from outside; whatever is not in the table is internal."""
    for kind in type(error).__mro__:
        found = _TABLE.get(kind)
        if found is not None:
            return found
    return INTERNAL
