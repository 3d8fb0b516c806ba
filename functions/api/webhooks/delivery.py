"""Delivering a run's end to its webhook: at least once, under one id, until the receiver has it or time runs out."""

import asyncio
import json
import random
import time
from datetime import UTC, datetime
from socket import AF_INET, AF_INET6, AI_NUMERICHOST, AddressFamily

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from functions.api.endings import values_at_end
from functions.api.webhooks import signing
from functions.api.webhooks.receiver import addresses_of
from functions.api.wire import WireRun
from shared.aws.queue import RunMessage
from shared.database import connection, runs, waits, webhooks
from shared.database.webhooks import Attempt, Outcome
from shared.domain import AgentRun, Json
from shared.errors import DatabaseUnavailableError, NotFoundError
from shared.network.addresses import Address, RefusedAddressError, Resolver, resolve
from shared.runs.patience import patience_s
from shared.shares import on_share_of
from shared.telemetry import logger

MOST_ATTEMPTS = 9
OLDEST_S = 24 * 3600.0
LONGEST_WAIT_S = 4 * 3600.0

# What a receiver may take to answer; work that takes longer is its own to queue.
_TIMEOUT_S = 10.0
# An attempt that has not ended by then has died with its function.
_ATTEMPT_LASTS_S = 60.0
# An attempt and its statements; the place of one that has died with its function is free then.
_PLACE_S = 20.0
_GONE = 410


async def deliver(message: RunMessage, *, resolver: Resolver = resolve) -> None:
    """Attempt the delivery for the message's run, if one is due; what comes of it stands in its row.

    Receivers are strangers that may take their time, and all accounts share who waits for them: an attempt first takes
    one of the account's places.

    Raises TooManyWaitsError: as many attempts of the account last as its plan allows; this one has not begun.
    """
    async with connection() as taken:
        place = await waits.take(taken, account_id=message.account_id, for_s=_PLACE_S, kind="webhook")
    try:
        await _attempt(message, resolver=resolver)
    finally:
        try:
            async with connection() as taken:
                await waits.give_back(taken, place)
        except DatabaseUnavailableError:
            logger.warning("a place could not be given back: it is free when its time is over", exc_info=True)


async def _attempt(message: RunMessage, *, resolver: Resolver) -> None:
    agent_run_id, account_id = message.agent_run_id, message.account_id
    async with connection() as taken:
        attempt = await webhooks.begin(
            taken, agent_run_id=agent_run_id, account_id=account_id, lasts_s=_ATTEMPT_LASTS_S
        )
        if attempt is None:
            return
        try:
            run = await runs.get(taken, agent_run_id=agent_run_id, account_id=account_id)
        except NotFoundError:
            return  # deleted at this moment, and its delivery with it
        payload = payload_of(run, await values_at_end(taken, run), now=datetime.now(UTC))
    body = json.dumps(payload, ensure_ascii=False).encode()
    key = await signing.account_key(account_id)
    # The id is the run's: a receiver that has seen it has seen this end.
    signed = signing.headers(key, webhook_id=str(agent_run_id), timestamp_s=int(time.time()), body=body)
    problem: str | None = None
    status = 0
    try:
        with on_share_of(account_id):
            status = await _post(URL(attempt.url), body, signed, resolver=resolver)
    except RefusedAddressError as error:
        problem = error.message
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"[:500]
    outcome, again_in_s = verdict(attempt, status, jitter=random.uniform(0.75, 1.25))  # noqa: S311 - no secret
    if outcome != "delivered":
        problem = problem or f"the receiver answered {status}"
    async with connection() as taken:
        await webhooks.end(
            taken,
            agent_run_id=agent_run_id,
            account_id=account_id,
            attempts=attempt.attempts,
            outcome=outcome,
            again_in_s=again_in_s,
            problem=problem,
        )
    about = {"outcome": outcome, "attempts": attempt.attempts, "problem": problem}
    if outcome == "given_up":
        logger.error("a webhook was given up", extra=about)
    else:
        logger.info("a webhook was attempted", extra=about)


def payload_of(run: AgentRun, values: Json, *, now: datetime) -> Json:
    """What is delivered: the run, and the thread's values at its end, as LangGraph's server sends them."""
    return WireRun.of(run).model_dump(mode="json") | {
        "run_started_at": None if run.started_at is None else run.started_at.isoformat(),
        "run_ended_at": None if run.ended_at is None else run.ended_at.isoformat(),
        "webhook_sent_at": now.isoformat(),
        "values": values,
    }


def verdict(attempt: Attempt, status: int, *, jitter: float) -> tuple[Outcome, float]:
    """What an answer means (0: there was none), and in how many seconds the next attempt follows.

    A redirect is not followed: it is a failure as any other.
    """
    if 200 <= status < 300:
        return "delivered", 0.0
    if status == _GONE:
        return "gone", 0.0
    again_in_s = min(patience_s() / 3 * 4 ** (attempt.attempts - 1), LONGEST_WAIT_S) * jitter
    if attempt.attempts >= MOST_ATTEMPTS or attempt.age_s + again_in_s > OLDEST_S:
        return "given_up", 0.0
    return "pending", again_in_s


async def _post(url: URL, body: bytes, signed: dict[str, str], *, resolver: Resolver) -> int:
    """The status of the receiver's answer; of its body nothing is read.

    The name is resolved once, here; the connection goes to an address that was checked, so that a name that stands for
    another one a moment later (DNS rebinding) gains nothing. TLS verifies the name.
    """
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with asyncio.timeout(_TIMEOUT_S):
        addresses = await addresses_of(url, resolver=resolver)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_Checked(addresses), force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=timeout,
                trust_env=False,
                auto_decompress=False,
            ) as session,
            session.post(
                url,
                data=body,
                headers={"content-type": "application/json", "user-agent": "suna-webhooks", **signed},
                allow_redirects=False,
            ) as answer,
        ):
            return answer.status


class _Checked(AbstractResolver):
    """Answers with addresses that were checked, whatever it is asked. (Of a literal address it is not asked.)"""

    def __init__(self, addresses: list[Address]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_INET
    ) -> list[ResolveResult]:  # `family` is of no consequence: both are tried
        """The addresses in aiohttp's form."""
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=AF_INET if address.version == 4 else AF_INET6,
                proto=0,
                flags=AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""
