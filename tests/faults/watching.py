"""Faults that meet who watches a run: DynamoDB refuses what a subscriber, or its sender, needs of it.

A fault whose effect cannot be shown fails its case, and so does a subscriber who misses anything afterwards.
"""

import asyncio

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.e2e.following import ALL_CHANNELS, command, events_of_run, subscribed
from tests.faults.journey import Journey
from tests.faults.stand import Stand

_THROTTLED = "ProvisionedThroughputExceededException"
# As long as a call is waited for.
_REFUSED_S = 8.0
_EVERYTHING = {"channels": ALL_CHANNELS, "since": 0}


async def throttle_leases(stand: Stand, round_: list[Journey]) -> None:
    """Nobody can take, renew or give back the lease of the thread's subscriber, nor write its cursor, for a while."""
    await asyncio.gather(*(_throttle_lease(stand, journey) for journey in round_))


async def _throttle_lease(stand: Stand, journey: Journey) -> None:
    async with subscribed(stand.stack.client_of(journey.account_id), journey.thread_id, since=0) as socket:
        refusal = stand.control.refuse("UpdateItem", containing=journey.thread_id, code=_THROTTLED)
        journey.release()

        async def count() -> int:
            return refusal.refused

        await journey.eventually(count, bool, "refused")
        await asyncio.sleep(_REFUSED_S)
        stand.control.refusals.remove(refusal)
        told = await _all_told(journey, socket)
    journey.proof = f"{refusal.refused} writes refused, {told} events told"


async def throttle_connecting(stand: Stand, round_: list[Journey]) -> None:
    """No ticket is made, nobody connects, subscribes or is forgotten, for a while."""
    await asyncio.gather(*(_throttle_connecting(stand, journey) for journey in round_))


async def _throttle_connecting(stand: Stand, journey: Journey) -> None:
    control, client = stand.control, stand.stack.client_of(journey.account_id)
    url = client.websocket_url(journey.thread_id)
    others = await asyncio.to_thread(_watching, stand, journey)
    async with connect(url, additional_headers=client.headers) as socket:
        refusals = [
            # A ticket and a connection name the account, what a connection watches its thread.
            control.refuse("PutItem", containing=journey.account_id, code=_THROTTLED),
            control.refuse("UpdateItem", containing=journey.thread_id, code=_THROTTLED),
        ]
        ticket, connecting, subscribing = await asyncio.gather(
            journey.ticket(),
            _status_of_connecting(url, client.headers),
            command(socket, "subscription.subscribe", _EVERYTHING),
        )
        for refusal in refusals:
            control.refusals.remove(refusal)
        assert (ticket.status_code, ticket.headers.get("retry-after")) == (503, "2"), ticket.text
        # The function answers 503; of whatever is no fault of the client's the gateway makes 502.
        assert connecting == 502, connecting
        assert "try again" in subscribing.get("message", ""), subscribing
        assert (await journey.ticket()).status_code == 200
        assert (await command(socket, "subscription.subscribe", _EVERYTHING))["type"] == "success"
        own = await asyncio.to_thread(_watching, stand, journey) - others
        assert own, "nobody knows of the connection"
        journey.release()
        told = await _all_told(journey, socket)
        leaving = control.refuse("DeleteItem", containing=journey.thread_id, code=_THROTTLED)
    try:
        await journey.eventually(lambda: asyncio.to_thread(_watching, stand, journey), own.isdisjoint, "forgotten")
    finally:
        control.refusals.remove(leaving)
    assert leaving.refused, "somebody else had forgotten the connection"
    count = sum(refusal.refused for refusal in (*refusals, leaving))
    journey.proof = f"{count} writes refused, ticket 503, connection 502, {told} events told"


async def _status_of_connecting(url: str, headers: dict[str, str]) -> int:
    try:
        async with connect(url, additional_headers=headers):
            return 200
    except InvalidStatus as refused:
        return refused.response.status_code


async def _all_told(journey: Journey, socket: ClientConnection) -> int:
    """How many events the subscriber was told; every one that the log has up to the run's end."""
    numbers = {frame["seq"] for frame in await events_of_run(socket) if "seq" in frame}
    logged = {frame["seq"] for frame in await journey.events() if frame["seq"] <= max(numbers)}
    if logged - numbers:
        journey.problems.append(f"lost: the subscriber was not told events {sorted(logged - numbers)}")
    return len(numbers)


def _watching(stand: Stand, journey: Journey) -> set[str]:
    """The connections that are known to watch the thread."""
    answer = stand.stack.aws("dynamodb").query(
        TableName=stand.stack.fields["outputs"]["SubscriptionsTable"],
        KeyConditionExpression="thread_id = :thread",
        ExpressionAttributeValues={":thread": {"S": f"{journey.thread_id}#account#{journey.account_id}"}},
        ConsistentRead=True,
    )
    return {item["connection_id"]["S"] for item in answer["Items"]}
