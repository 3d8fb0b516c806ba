"""One base error. Which HTTP status and wire code a class has is said once, at the edge (``functions.api.errors``)."""

import math


class SunaError(Exception):
    """Something went wrong"""

    # When it makes sense to ask again, where that is known.
    retry_after_s: int | None = None

    def __init__(self, message: str | None = None, *, detail: object = None) -> None:
        """``message`` says what to do about it (default: the class's docstring); ``detail`` is JSON for the client."""
        self.message = message or (type(self).__doc__ or "").split("\n", 1)[0].strip()
        self.detail = detail
        super().__init__(self.message)


class InvalidRequestError(SunaError):
    """The request is not valid."""


class UnauthenticatedError(SunaError):
    """The credential is missing or not valid."""


class ForbiddenError(SunaError):
    """The credential does not allow this."""


class NotFoundError(SunaError):
    """There is no such thing, or it is not yours."""


class ConflictError(SunaError):
    """The request does not fit what is there."""


class BodyTooLargeError(SunaError):
    """The request body is larger than 4 MB: upload larger files by presigned URL."""


class LimitExceededError(SunaError):
    """The account uses all that its plan allows."""


class TooManyWaitsError(LimitExceededError):
    """As many requests of the account wait as its plan allows."""

    @classmethod
    def of(cls, *, plan_id: str, limit: int, next_s: float | None) -> "TooManyWaitsError":
        """``next_s``: until the first of them has ended at the latest."""
        retry_after_s = max(1, math.ceil(next_s or 0.0))
        error = cls(
            f"{limit} requests of this account wait for runs, which is all that its plan {plan_id!r} allows at a time"
            f" (max_waits): one of them has ended in {retry_after_s} s. A WebSocket tells of runs without waiting",
            detail={"limit": "max_waits", "plan": plan_id, "max_waits": limit, "retry_after_s": retry_after_s},
        )
        error.retry_after_s = retry_after_s
        return error


class BudgetExceededError(SunaError):
    """The account has used all that its plan allows a day."""

    def __init__(self, message: str | None = None, *, detail: object = None, retry_after_s: int = 3600) -> None:
        """``retry_after_s``: until the next day."""
        super().__init__(message, detail=detail)
        self.retry_after_s = retry_after_s


class NoSuchInterruptError(SunaError):
    """Nothing waits for this answer."""


class NoSuchNamespaceError(SunaError):
    """There is no agent at this place in the tree of agents."""


class RateLimitedError(SunaError):
    """The account asks faster than its plan allows; try again shortly."""


class NotSupportedError(SunaError):
    """This is not supported."""


class UnknownCommandError(SunaError):
    """There is no such command."""


class UnavailableError(SunaError):
    """Something that this needs cannot be reached; try again shortly."""


class DatabaseUnavailableError(UnavailableError):
    """The database cannot be reached; try again shortly."""


class OutcomeUnknownError(DatabaseUnavailableError):
    """The database went away while it was keeping this: it may be done, or not; look, then try again."""


class QueueUnavailableError(UnavailableError):
    """The queue does not take messages for now; try again shortly."""


class FilesUnavailableError(UnavailableError):
    """The store of files cannot be reached; try again shortly."""


class SubscriptionsUnavailableError(UnavailableError):
    """The table of tickets, connections and subscriptions cannot be reached; try again shortly."""


class EventLogUnavailableError(UnavailableError):
    """The event log cannot be reached; try again shortly."""


class SecretsUnavailableError(UnavailableError):
    """A secret cannot be read for now; try again shortly."""


class FunctionsUnavailableError(UnavailableError):
    """Another function cannot be invoked for now; try again shortly."""


class WorkflowUnavailableError(UnavailableError):
    """The workflow cannot be started for now; try again shortly."""


class MigrationError(SunaError):
    """The database's schema does not fit the migrations."""


class DefectError(SunaError):
    """A step of the workflow has met an error that would come again."""


class LeaseLostError(SunaError):
    """The run's lease has ended or another attempt holds it."""


class LeaseHeldError(SunaError):
    """Another executor holds the run's lease."""
