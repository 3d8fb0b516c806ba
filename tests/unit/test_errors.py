"""The one table of how errors look from outside."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import get_args

import pytest
from langchain_protocol import ErrorCode

import functions.api
import shared
from functions.api.errors import INTERNAL, appearance
from shared.errors import (
    BodyTooLargeError,
    ConflictError,
    DefectError,
    ForbiddenError,
    InvalidRequestError,
    LeaseHeldError,
    LeaseLostError,
    LimitExceededError,
    MigrationError,
    NotFoundError,
    RateLimitedError,
    SunaError,
    UnauthenticatedError,
)

# What no client causes and no client is told about: only executors and deployments meet these.
INSIDE = {SunaError, DefectError, LeaseLostError, LeaseHeldError, MigrationError}

ERROR_CODES = {word for literal in get_args(ErrorCode) for word in get_args(literal)}


def _import_all(package: ModuleType) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        # litellm takes seconds, a function's root configures its process: neither defines errors.
        if module.name != "shared.llm" and not module.name.endswith(".main"):
            importlib.import_module(module.name)


def _classes(root: type[SunaError]) -> Iterator[type[SunaError]]:
    yield root
    for child in root.__subclasses__():
        yield from _classes(child)


_import_all(shared)
_import_all(functions.api)
# Those of tools and of the context never leave the runner: the model is told, or the run fails with a code.
OUTSIDE = ("shared.errors", "functions.api")
ERRORS = sorted(
    {kind for kind in _classes(SunaError) if kind.__module__.startswith(OUTSIDE)}, key=lambda kind: kind.__name__
)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_an_appearance(kind: type[SunaError]) -> None:
    look = appearance(kind())
    assert (look == INTERNAL) == (kind in INSIDE)
    assert 400 <= look.status <= 599
    assert look.command_error in ERROR_CODES


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_errors_docstring_is_its_message(kind: type[SunaError]) -> None:
    assert kind().message == (kind.__doc__ or "").splitlines()[0]
    assert str(kind()) == kind().message
    assert kind("another").message == "another"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (InvalidRequestError, 422, "invalid_argument"),
        (UnauthenticatedError, 401, "unauthenticated"),
        (ForbiddenError, 403, "forbidden"),
        (NotFoundError, 404, "not_found"),
        (ConflictError, 409, "conflict"),
        (BodyTooLargeError, 413, "body_too_large"),
        (LimitExceededError, 429, "limit_exceeded"),
        (RateLimitedError, 429, "rate_limited"),
    ],
)
def test_what_clients_rely_on(kind: type[SunaError], status: int, code: str) -> None:
    look = appearance(kind())
    assert (look.status, look.code) == (status, code)


@pytest.mark.parametrize("status", [429, 503])
def test_who_may_try_again_is_told_when(status: int) -> None:
    looks = [look for look in map(appearance, (kind() for kind in ERRORS)) if look.status == status]
    assert looks
    assert all(dict(look.headers)["retry-after"].isdigit() for look in looks)


def test_a_subclass_looks_like_its_base_and_a_stranger_is_internal() -> None:
    class GoneError(NotFoundError):
        """It was there once."""

    assert appearance(GoneError()) == appearance(NotFoundError())
    assert appearance(KeyError("thread")) == INTERNAL
