"""What is told of a model's provider that fails: ``{"code", "message"}``, a code and a sentence of ours.

A provider's own text repeats what somebody said, pieces of keys, addresses and paths. It goes into no log, and to the
run's owner only where the stack's settings allow it, cut and scrubbed. Logs have the code, the HTTP status and the
provider's id of the request, by which it can be asked for there.

========================= =============================================== =============================================
code                      what happened                                   what to do
========================= =============================================== =============================================
context_window_exceeded   the conversation is too long for the model      another thread, or a model that takes more
content_filter            the provider's filter refuses it                say it in other words
model_authentication      401, 403: the key is refused                    the operator looks at the provider secret
model_not_found           404                                             check the model's name
model_rate_limited        402, 429: too many requests, or a quota is used  later, or another model
model_timeout             it has not answered in time                     again, or another model
model_unavailable         it is not reached, or broken (5xx)              later, or another model
model_bad_request         400, 422 and others of 4xx                      check the assistant's settings and messages
model_error               anything else                                   again, or another model
unknown_provider_key      the assistant's key is not in the secret        name another one
model_not_allowed         the stack does not serve the model              choose one that it serves
========================= =============================================== =============================================
"""

import re
from typing import Any

from openai import APIConnectionError, APIError

from shared.domain import Json
from shared.llm import ModelNotAllowedError, UnknownProviderKeyError, litellm
from shared.scrubbing import scrubbed

_litellm: Any = litellm.exceptions

_LATER = "try again later, or choose another model"
_KEY = (
    "model_authentication",
    "the model's provider refuses the key: whoever runs this stack has to look at its provider secret",
)
_SPENT = ("model_rate_limited", f"the model's provider is asked for too much, or its quota is used up: {_LATER}")
_UNAVAILABLE = f"the model's provider cannot be reached, or is broken for now: {_LATER}"
_REFUSED = (
    "the model's provider does not take this request: check the model's name, the assistant's settings and tools, and"
    " what kinds of content the messages have"
)
_UNKNOWN = "the model's provider has failed in a way that nobody here knows: try again, or choose another model"

# Subclasses come before their bases.
_KINDS: tuple[tuple[type[Exception], str, str], ...] = (
    (
        _litellm.ContextWindowExceededError,
        "context_window_exceeded",
        "the conversation is longer than the model takes: go on on another thread, or choose a model that takes more",
    ),
    (
        _litellm.ContentPolicyViolationError,
        "content_filter",
        "the filter of the model's provider has refused this: say it in other words",
    ),
    (_litellm.AuthenticationError, *_KEY),
    (_litellm.PermissionDeniedError, *_KEY),
    (
        _litellm.NotFoundError,
        "model_not_found",
        "the model's provider has no such model: check its name",
    ),
    (_litellm.RateLimitError, *_SPENT),
    (_litellm.Timeout, "model_timeout", f"the model's provider has not answered in time: {_LATER}"),
    (_litellm.InternalServerError, "model_unavailable", _UNAVAILABLE),
    (APIConnectionError, "model_unavailable", _UNAVAILABLE),
    (_litellm.BadRequestError, "model_bad_request", _REFUSED),
)
# These are ours, and say what they mean.
_OURS: tuple[tuple[type[Exception], str], ...] = (
    (UnknownProviderKeyError, "unknown_provider_key"),
    (ModelNotAllowedError, "model_not_allowed"),
)

# Headers in which providers name a request, the most common first.
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "cf-ray")
_REQUEST_ID = re.compile(r"[\w.:-]{1,100}")


def error_of(error: Exception, *, in_full: bool = False) -> Json:
    """What a failed run says about ``error`` of a model.

    ``in_full``: with the provider's own text behind our sentence, cut and scrubbed.
    """
    code, message = _kind(error)
    if in_full and not isinstance(error, tuple(kind for kind, _ in _OURS)):
        text = scrubbed(_text(error))
        message = f"{message} (the provider: {text})" if text else message
    return {"code": code, "message": message}


def logged(error: Exception) -> Json:
    """What a log says about it: ``code``, and as far as there are, ``status`` and ``provider_request_id``."""
    fields: Json = {"code": _kind(error)[0], "kind": type(error).__name__}
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        fields["status"] = status
    request_id = _request_id(error)
    return fields if request_id is None else {**fields, "provider_request_id": request_id}


def _kind(error: Exception) -> tuple[str, str]:
    for ours, code in _OURS:
        if isinstance(error, ours):
            return code, _text(error)
    for kind, code, message in _KINDS:
        if isinstance(error, kind):
            return code, message
    # litellm has classes for the most common statuses only.
    status = getattr(error, "status_code", None)
    if not isinstance(error, APIError) or not isinstance(status, int) or status < 400:
        return "model_error", _UNKNOWN
    if status >= 500:
        return "model_unavailable", _UNAVAILABLE
    return {402: _SPENT, 403: _KEY}.get(status, ("model_bad_request", _REFUSED))


def _text(error: Exception) -> str:
    return str(getattr(error, "message", "") or error)


def _request_id(error: Exception) -> str | None:
    # litellm's own answer of an error has no headers: it puts the provider's aside.
    own: Any = getattr(getattr(error, "response", None), "headers", None)
    aside: Any = getattr(error, "litellm_response_headers", None)
    for headers in (own, aside):
        for name in _REQUEST_ID_HEADERS if headers else ():
            found: Any = headers.get(name)
            if isinstance(found, str) and _REQUEST_ID.fullmatch(found):
                return found
    return None
