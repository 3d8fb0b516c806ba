"""Subscriptions on a real DynamoDB API."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.aws.clients import dynamodb
from shared.errors import InvalidRequestError
from shared.stream import items, sender_lease, subscriptions
from shared.stream.filters import Filter
from shared.stream.subscriptions import ANNOUNCED_S, LIFE_S, ConnectionRecord, Subscription
from tests.integration.conftest import SUBSCRIPTIONS_TABLE
from tests.integration.watchers import ACCOUNT, watching

pytestmark = pytest.mark.usefixtures("subscriptions_table")


@pytest.fixture
def thread_id() -> UUID:
    return uuid4()


@pytest.fixture
def record(thread_id: UUID) -> ConnectionRecord:
    return _record(thread_id)


GENERATION = uuid4()


def _record(thread_id: UUID, **more: Any) -> ConnectionRecord:
    fields: dict[str, Any] = {
        "connection_id": f"{uuid4().hex[:15]}=",
        "account_id": "account",
        "opened_at": float(int(time.time())),
        "credential_expires_at": 2.0**32,
        "begins_after": 7,
    }
    return ConnectionRecord(thread_id=thread_id, **(fields | more))


def _filter(*channels: str, **more: Any) -> Filter:
    return Filter(subscription_id=str(uuid4()), channels=frozenset(channels or {"messages"}), **more)


async def _claim(found: Subscription, sender: str) -> Subscription | None:
    return await sender_lease.claim(found, sender=sender, generation=GENERATION)


def _stamped(found: Subscription, **changes: Any) -> Subscription:
    """As a sender of the log has it."""
    return replace(found, generation=GENERATION, **changes)


def _after_a_look(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[object]]) -> None:
    """Have something happen between the next look at a subscription and what is written then."""
    get, looked = subscriptions.get, False

    async def beside(of: ConnectionRecord | Subscription) -> Subscription | None:
        nonlocal looked
        found = await get(of)
        if not looked:
            looked = True
            await act()
        return found

    monkeypatch.setattr(subscriptions, "get", beside)


async def _only(thread_id: UUID) -> Subscription:
    [found] = await subscriptions.of_thread(thread_id, account_id="account")
    return found


@pytest.mark.parametrize(
    "wanted",
    [
        _filter("messages", "lifecycle"),
        _filter("custom:summary", namespaces=((),)),
        _filter(namespaces=(("a", "b"), ("c",)), depth=0),
    ],
)
@pytest.mark.parametrize("since", [0, 42, 2**63 - 1])
async def test_a_subscription_survives_the_round_trip(record: ConnectionRecord, wanted: Filter, since: int) -> None:
    await subscriptions.add(record, wanted, since=since)
    found = await _only(record.thread_id)
    assert (found.filters, found.cursor, found.connection_id) == ((wanted,), since, record.connection_id)
    assert found == await subscriptions.get(record)


async def test_without_since_it_begins_where_the_connection_did(record: ConnectionRecord) -> None:
    await subscriptions.add(record, _filter(), since=None)
    assert (await _only(record.thread_id)).cursor == 7


async def test_another_subscription_of_the_connection_only_ever_moves_the_cursor_back(
    record: ConnectionRecord,
) -> None:
    filters = [_filter(), _filter("values"), _filter("tools")]
    await subscriptions.add(record, filters[0], since=40)
    await subscriptions.add(record, filters[1], since=50)
    assert (await _only(record.thread_id)).cursor == 40
    await subscriptions.add(record, filters[2], since=3)
    found = await _only(record.thread_id)
    assert (found.filters, found.cursor) == (tuple(filters), 3)


async def test_filters_that_are_changed_at_the_same_time_are_all_there(record: ConnectionRecord) -> None:
    filters = {_filter() for _ in range(4)}
    await asyncio.gather(*(subscriptions.add(record, one, since=0) for one in filters))
    assert set((await _only(record.thread_id)).filters) == filters


async def test_a_connection_has_so_many_subscriptions_and_no_more(thread_id: UUID) -> None:
    record = _record(thread_id, max_subscriptions=4)
    for _ in range(4):
        await subscriptions.add(record, _filter(), since=0)
    with pytest.raises(InvalidRequestError, match="4 subscriptions already"):
        await subscriptions.add(record, _filter(), since=0)
    assert len((await _only(record.thread_id)).filters) == 4


async def test_every_connection_of_the_thread_is_found(thread_id: UUID) -> None:
    many = [_record(thread_id, connection_id=f"connection-{number:02}=") for number in range(30)]
    for one in [*many, _record(uuid4())]:
        await subscriptions.add(one, _filter(), since=0)
    found = await subscriptions.of_thread(thread_id, account_id="account")
    assert [one.connection_id for one in found] == [one.connection_id for one in many]


async def test_what_strangers_write_of_a_thread_is_not_even_read(
    record: ConnectionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Subscription] = []
    of_item = subscriptions.of_item
    monkeypatch.setattr(subscriptions, "of_item", lambda item: read.append(of_item(item)) or read[-1])
    await subscriptions.add(record, _filter(), since=0)
    for number in range(5):
        stranger = _record(record.thread_id, account_id=f"stranger {number}", connection_id=f"c{number}=")
        await subscriptions.add(stranger, _filter(), since=0)
    read.clear()
    assert await subscriptions.of_thread(record.thread_id, account_id="account") == read
    assert len(read) == 1


async def test_a_foreign_accounts_connection_gets_nothing(record: ConnectionRecord) -> None:
    await subscriptions.add(record, _filter(), since=0)
    await subscriptions.add(_record(record.thread_id, account_id="a stranger"), _filter(), since=0)
    assert (await _only(record.thread_id)).connection_id == record.connection_id


async def test_a_connection_survives_the_round_trip(record: ConnectionRecord) -> None:
    assert await subscriptions.get_connection(record.connection_id) is None
    await subscriptions.put_connection(record)
    assert await subscriptions.get_connection(record.connection_id) == record
    # It watches nothing.
    assert await subscriptions.of_thread(record.thread_id, account_id="account") == []


async def test_a_connection_that_was_opened_before_plans_said_how_many_subscriptions_has_the_default(
    record: ConnectionRecord, subscriptions_table: str
) -> None:
    await subscriptions.put_connection(record)
    await (await dynamodb()).update_item(
        TableName=subscriptions_table,
        Key={"thread_id": {"S": f"connection#{record.connection_id}"}, "connection_id": {"S": "connection"}},
        UpdateExpression="REMOVE max_subscriptions",
    )
    assert await subscriptions.get_connection(record.connection_id) == record


async def test_a_connection_is_forgotten_with_what_it_watches_and_twice_is_as_well(record: ConnectionRecord) -> None:
    other = _record(record.thread_id)
    for one in (record, other):
        await subscriptions.put_connection(one)
        await subscriptions.add(one, _filter(), since=0)
    for _ in range(2):
        await subscriptions.delete_connection(record.connection_id)
        assert await subscriptions.get_connection(record.connection_id) is None
        assert (await _only(record.thread_id)).connection_id == other.connection_id


async def test_unsubscribing_ends_one_subscription_and_the_last_one_ends_the_item(record: ConnectionRecord) -> None:
    first, second = _filter(), _filter("values")
    await subscriptions.put_connection(record)
    for one in (first, second):
        await subscriptions.add(record, one, since=0)
    for _ in range(2):
        await subscriptions.remove(record, first.subscription_id)
        assert (await _only(record.thread_id)).filters == (second,)
    for _ in range(2):
        await subscriptions.remove(record, second.subscription_id)
        assert await subscriptions.of_thread(record.thread_id, account_id="account") == []
    assert await subscriptions.get_connection(record.connection_id) == record


@pytest.mark.parametrize(
    ("credential_s", "life_s", "announced_s"),
    [(2**31, LIFE_S, ANNOUNCED_S), (3600, 3600, ANNOUNCED_S), (300, 300, 150)],
    ids=["two hours", "a credential that ends before", "a credential of few minutes"],
)
async def test_what_is_watched_expires_with_the_credential_and_the_connection_when_it_has_to_end(
    thread_id: UUID, subscriptions_table: str, credential_s: int, life_s: int, announced_s: int
) -> None:
    record = _record(thread_id)
    record = replace(record, credential_expires_at=record.opened_at + credential_s)
    await subscriptions.put_connection(record)
    await subscriptions.add(record, _filter(), since=0)
    # A later subscription lengthens nothing.
    await subscriptions.add(record, _filter(), since=0)
    client: Any = await dynamodb()
    for key, expected_s in (
        ((f"connection#{record.connection_id}", "connection"), LIFE_S),
        ((record.audience, record.connection_id), life_s),
    ):
        names = dict(zip(("thread_id", "connection_id"), key, strict=True))
        answer = await client.get_item(
            TableName=subscriptions_table, Key={name: {"S": value} for name, value in names.items()}
        )
        assert int(answer["Item"]["expires_at"]["N"]) == record.opened_at + expected_s
    assert (await _only(thread_id)).announce_at == record.opened_at + life_s - announced_s


async def test_what_has_expired_is_over_even_before_dynamodb_removes_it(thread_id: UUID) -> None:
    record = _record(thread_id, credential_expires_at=time.time() - 1)
    await subscriptions.put_connection(record)
    await subscriptions.add(record, _filter(), since=0)
    found = await subscriptions.get_connection(record.connection_id)
    assert found is not None
    assert found.is_over
    assert (await _only(thread_id)).is_over
    assert await subscriptions.get(record) is None


async def test_one_of_many_becomes_the_sender(record: ConnectionRecord) -> None:
    await subscriptions.add(record, _filter(), since=0)
    found = await _only(record.thread_id)
    claimed = await asyncio.gather(*(_claim(found, f"sender {number}") for number in range(10)))
    assert [one for one in claimed if one is not None] == [_stamped(found)]


async def test_a_senders_lease_is_kept_and_given_back_by_the_sender_alone(record: ConnectionRecord) -> None:
    await subscriptions.add(record, _filter(), since=0)
    found = await _only(record.thread_id)
    assert await _claim(found, "mine") == replace(found, generation=GENERATION)
    assert not await sender_lease.keep(found, sender="other", cursor=9)
    assert not await sender_lease.release(found, sender="other", cursor=9)
    assert await _claim(found, "other") is None
    assert await sender_lease.keep(found, sender="mine", cursor=5)
    assert (await _only(record.thread_id)).cursor == 5
    assert await sender_lease.release(found, sender="mine", cursor=6)
    # The next one goes on there at once.
    assert await _claim(found, "other") == replace(found, cursor=6, generation=GENERATION)


async def test_a_lease_that_is_not_renewed_ends(record: ConnectionRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    await subscriptions.add(record, _filter(), since=0)
    found = await _only(record.thread_id)
    monkeypatch.setattr(sender_lease, "SENDER_LEASE_S", -1.0)
    assert await _claim(found, "dead") == replace(found, generation=GENERATION)
    assert await _claim(found, "other") == replace(found, generation=GENERATION)
    # Whoever wakes up then is not the sender any more.
    assert not await sender_lease.keep(found, sender="dead", cursor=9)


async def test_a_sender_that_does_not_know_of_a_change_writes_nothing(record: ConnectionRecord) -> None:
    await subscriptions.add(record, _filter(), since=50)
    found = await _only(record.thread_id)
    assert await _claim(found, "mine") == replace(found, generation=GENERATION)
    await subscriptions.add(record, _filter("values"), since=3)
    assert not await sender_lease.keep(found, sender="mine", cursor=60)
    assert not await sender_lease.release(found, sender="mine", cursor=60)
    changed = await _claim(found, "mine")
    assert changed is not None
    assert (changed.cursor, len(changed.filters), changed.version) == (3, 2, found.version + 1)


async def test_the_end_of_a_connection_is_announced_by_its_sender_and_by_nobody_again(
    record: ConnectionRecord,
) -> None:
    await subscriptions.add(record, _filter(), since=0)
    found = await _only(record.thread_id)
    assert found.announce_at == record.announce_at
    await _claim(found, "mine")
    await sender_lease.note_announced(found, sender="other")
    assert (await _only(record.thread_id)).announce_at == record.announce_at
    await sender_lease.note_announced(found, sender="mine")
    assert (await _only(record.thread_id)).announce_at is None
    await subscriptions.add(record, _filter("values"), since=0)
    assert (await _only(record.thread_id)).announce_at is None


@pytest.mark.parametrize("again", ["added", "removed and added"])
async def test_what_is_subscribed_outlives_what_is_written_beside_it(
    record: ConnectionRecord, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    first, second, third = (_filter() for _ in range(3))
    await subscriptions.put_connection(record)
    await subscriptions.add(record, first, since=0)

    async def more() -> None:
        # WHEN another command of the connection is done
        if again == "removed and added":
            await subscriptions.remove(record, first.subscription_id)
        await subscriptions.add(record, third, since=0)

    _after_a_look(monkeypatch, more)
    await subscriptions.add(record, second, since=0)
    found = await subscriptions.get(record)
    assert found is not None
    before = set[str]() if again == "removed and added" else {first.subscription_id}
    assert {one.subscription_id for one in found.filters} == {second.subscription_id, third.subscription_id} | before


async def test_a_cursor_that_moves_while_more_is_subscribed_is_moved_back(
    record: ConnectionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    await subscriptions.put_connection(record)
    await subscriptions.add(record, _filter("lifecycle"), since=None)
    leased = await subscriptions.get(record)
    assert leased is not None
    assert await sender_lease.claim(leased, sender="a sender", generation=GENERATION)
    # WHEN the sender, which passes over what is not wanted yet, keeps its cursor
    _after_a_look(monkeypatch, partial(sender_lease.keep, leased, sender="a sender", cursor=20))
    await subscriptions.add(record, _filter("custom"), since=None)
    found = await subscriptions.get(record)
    # THEN what was passed over is told, since it is wanted now
    assert found is not None
    assert (found.cursor, len(found.filters)) == (7, 2)


async def test_what_a_connection_wants_is_bounded_in_bytes(record: ConnectionRecord) -> None:
    await subscriptions.put_connection(record)
    large = [
        replace(_filter(f"custom:{number}{'x' * 30_000}"), subscription_id=f"number {number}") for number in range(3)
    ]
    await subscriptions.add(record, large[0], since=0)
    await subscriptions.add(record, large[1], since=0)
    with pytest.raises(InvalidRequestError, match=r"would have 9.... bytes, of 65536 that they may have"):
        await subscriptions.add(record, large[2], since=0)
    # What is refused takes nothing away, and what is ended makes room.
    assert len((await _only(record.thread_id)).filters) == 2
    await subscriptions.remove(record, "number 0")
    await subscriptions.add(record, large[2], since=0)
    assert [one.subscription_id for one in (await _only(record.thread_id)).filters] == ["number 1", "number 2"]


async def test_ten_thousand_subscribers_are_found_and_one_of_them_is_none_of_the_others(
    thread_id: UUID,
) -> None:
    # GIVEN ten thousand subscriptions of a thread, in place of which DynamoDB pages its answers
    template_id = await watching(thread_id)
    [template] = await subscriptions.of_thread(thread_id, account_id=ACCOUNT)
    await _write_copies(thread_id, template_id, 9_999)
    found = await subscriptions.of_thread(thread_id, account_id=ACCOUNT)
    assert len({one.connection_id for one in found}) == 10_000
    assert {replace(one, connection_id="") for one in found} == {replace(template, connection_id="")}


async def _write_copies(thread_id: UUID, connection_id: str, count: int) -> None:
    client: Any = await dynamodb()
    key = items.key(f"{thread_id}#account#{ACCOUNT}", connection_id)
    item = (await client.get_item(TableName=SUBSCRIPTIONS_TABLE, Key=key))["Item"]
    puts = [{"PutRequest": {"Item": {**item, "connection_id": {"S": f"{number}="}}}} for number in range(count)]
    for first in range(0, count, 25):
        answer = await client.batch_write_item(RequestItems={SUBSCRIPTIONS_TABLE: puts[first : first + 25]})
        assert not answer["UnprocessedItems"]
