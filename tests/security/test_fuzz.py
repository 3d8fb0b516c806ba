"""Requests that the API's description allows, and ones that it does not, made up by schemathesis; as two accounts.

Whatever is asked: no fault, and answers as described.
"""

import uuid
from http import HTTPStatus
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CheckContext
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.conftest import ROOT, RunningStack
from tests.security.credentials import Secrets
from tests.security.routes import Property, property_of

# They wait for a run's end, up to 20 s: the matrix has them.
WAITING = r"/(wait|join)$"
# It would take from the other tests what they ask for: the matrix has it, and tests of its own.
ENDING = r"^/account$"
# "Not served here" and "later, please" are answers.
NO_FAULTS = frozenset({501, 503, 504})
# Bytes, of which some are headers.
LONGEST_ADDRESS = 4096

STRANGER = str(uuid.uuid4())
api = (
    schemathesis.openapi.from_path(str(ROOT / "docs/openapi.json"))
    .exclude(path_regex=WAITING)
    .exclude(path_regex=ENDING)
)


CONFORMANCE = (content_type_conformance, response_schema_conformance, status_code_conformance)


@pytest.fixture(scope="module")
async def owned(stack: RunningStack, secrets: Secrets) -> Property:
    """Of an account of its own: made-up requests change it, and may even make its thread public."""
    return await property_of(stack, secrets)


def _no_fault(_context: CheckContext, response: Any, _case: Any) -> None:
    assert response.status_code < 500 or response.status_code in NO_FAULTS, response.text


@pytest.mark.parametrize("whose", ["its own", "another's"])
@api.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
)
def test_any_request_has_a_described_answer(
    case: schemathesis.Case, stack: RunningStack, owned: Property, whose: str
) -> None:
    token = stack.token(STRANGER) if whose == "another's" else owned.headers["authorization"].split()[1]
    # Half of what is asked for exists.
    if len(str(case.body)) % 2 and case.operation.method not in {"delete"}:
        case.path_parameters |= {name: owned.values[name] for name in case.path_parameters if name in owned.values}
    response = case.call(base_url=stack.base_url, headers={"authorization": f"Bearer {token}"}, timeout=40)
    if response.status_code == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        # The gateway's word, before anybody is asked: its documentation is AWS's.
        assert len(str(response.request.url)) > LONGEST_ADDRESS
        return
    case.validate_response(response, checks=[_no_fault, *CONFORMANCE])
