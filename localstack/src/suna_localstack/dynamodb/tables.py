"""The providers' operations: moto's, one at a time, and the few that moto leaves wrong."""
# With expand=False LocalStack passes the request whole, which its generated interface does not know.
# pyright: reportIncompatibleMethodOverride=false

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from localstack.aws.api import CommonServiceException, RequestContext, ServiceRequest, ServiceResponse, handler
from localstack.aws.api.dynamodb import (
    BatchWriteItemInput,
    DynamodbApi,
    TransactWriteItemsInput,
    UpdateTableInput,
)
from localstack.aws.forwarder import ForwardingFallbackDispatcher
from localstack.aws.skeleton import DispatchTable
from localstack.http import Response
from localstack.services.moto import call_moto, call_moto_with_request, dispatch_to_moto
from localstack.services.plugins import ServiceLifecycleHook

from suna_localstack.dynamodb.expiry import ExpirySweep

_LOCK = threading.RLock()
"""moto is not thread-safe: concurrent transactions lose updates. Held for one operation, which makes no request."""

_BATCH_LIMIT = 25
_TOKEN_LIFE_S = 600.0

type Answer = ServiceResponse | Response


def dispatch_table(provider: object) -> DispatchTable:
    """Every operation of a provider; what it does not implement is moto's."""
    return ForwardingFallbackDispatcher(provider, _moto)


def _moto(context: RequestContext, request: ServiceRequest) -> Answer:
    with _LOCK:
        if context.protocol == "json":
            # moto's answer is what goes over the wire: no need to parse it and to write it again.
            return dispatch_to_moto(context)
        return call_moto(context)


@dataclass(frozen=True)
class _Replay:
    """The request a client token was first seen with."""

    request: str
    seen_at_s: float


class TablesProvider(DynamodbApi, ServiceLifecycleHook):
    """DynamoDB."""

    def __init__(self) -> None:
        self._replays: dict[str, _Replay] = {}
        self._expiry = ExpirySweep(_LOCK)

    def on_before_start(self) -> None:
        self._expiry.start()

    def on_before_stop(self) -> None:
        self._expiry.stop()

    @handler("BatchWriteItem", expand=False)
    def batch_write_item(self, context: RequestContext, request: BatchWriteItemInput) -> Answer:
        """At most 25 writes in one batch, as on AWS."""
        if sum(map(len, request["RequestItems"].values())) > _BATCH_LIMIT:
            message = (
                "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: "
                f"Map value must satisfy constraint: [Member must have length less than or equal to {_BATCH_LIMIT}, "
                "Member must have length greater than or equal to 1]"
            )
            raise CommonServiceException("ValidationException", message)
        return _moto(context, request)

    @handler("TransactWriteItems", expand=False)
    def transact_write_items(self, context: RequestContext, request: TransactWriteItemsInput) -> Answer:
        """A repeated client token within ten minutes succeeds without a second write."""
        token = request.get("ClientRequestToken")
        if token is None:
            return _moto(context, request)
        key = f"{context.account_id}/{context.region}/{token}"
        fingerprint = json.dumps(request["TransactItems"], sort_keys=True, default=repr)
        with _LOCK:
            self._forget_old_tokens()
            if (replay := self._replays.get(key)) is not None:
                if replay.request != fingerprint:
                    message = "Same client token was used with a different request"
                    raise CommonServiceException("IdempotentParameterMismatchException", message)
                return {}
            answer = _moto(context, request)
            if not isinstance(answer, Response) or answer.status_code == 200:
                self._replays[key] = _Replay(fingerprint, time.monotonic())
            return answer

    @handler("UpdateTable", expand=False)
    def update_table(self, context: RequestContext, request: UpdateTableInput) -> Answer:
        """CloudFormation's GlobalTable adds the region of the table itself as a replica, which is there already."""
        updates: Any = request.get("ReplicaUpdates")
        if not updates:
            return _moto(context, request)
        regions = {change["RegionName"] for update in updates for change in update.values()}
        if regions != {context.region}:
            message = f"Replicas in other regions are not supported: {sorted(regions - {context.region})!r}"
            raise CommonServiceException("ValidationException", message)
        local: Any = {name: value for name, value in request.items() if name != "ReplicaUpdates"}
        with _LOCK:
            return call_moto_with_request(context, local)

    def _forget_old_tokens(self) -> None:
        oldest = time.monotonic() - _TOKEN_LIFE_S
        while self._replays and (first := next(iter(self._replays.items())))[1].seen_at_s < oldest:
            del self._replays[first[0]]
