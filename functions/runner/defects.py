"""Errors that come again however often a run is tried."""

import asyncpg

from shared.domain import Json
from shared.errors import ConflictError

# Faults of a program, and data that PostgreSQL refuses: no other process has more luck with them. All else (a network,
# a server, memory) may be better next time: then the lease ends, and the watch gives the run to another attempt.
DEFECTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    # The id of what is to be kept is taken: whoever took it may do so again.
    ConflictError,
)


def error_of_defect(error: Exception) -> Json:
    """``run.error`` of such an error. What it says itself is for the log: it may hold what somebody has said."""
    if isinstance(error, ConflictError):
        return {"code": "message_id_taken", "message": "the id of the run's next message was taken: start another run"}
    message = f"an error in the service ({type(error).__name__}) that would come again; its log names it under this run"
    return {"code": "internal_error", "message": message}
