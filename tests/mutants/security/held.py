"""What holds an environment that all accounts share: closing connections from here, and receivers of webhooks."""

from tests.mutants import Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "closing: each frame of the dead wakes a sender",
        "shared/stream/closing.py",
        "    except RefusedError:\n        return False\n",
        "    except RefusedError:\n        return True\n",
        "tests/integration/test_hang_up.py::test_one_connection_wakes_one_sender_however_much_it_sends",
    ),
    Mutant(
        "closing: closed before it is told why",
        "shared/stream/hang_up.py",
        "    if last_frame is not None:",
        "    if False:",
        "tests/integration/test_hang_up.py::test_a_refusal_arrives_before_its_connection_closes",
    ),
    Mutant(
        "closing: who takes nothing is waited for",
        "shared/stream/hang_up.py",
        "ThrottledError, aiohttp.ClientError, TimeoutError):\n            async with",
        "):\n            async with",
        "tests/integration/test_hang_up.py::test_a_connection_that_takes_nothing_is_closed_all_the_same",
    ),
    Mutant(
        "closing: a last frame that fails keeps the connection open",
        "shared/stream/hang_up.py",
        "UndeliverableError, ThrottledError, aiohttp.ClientError, TimeoutError):",
        "UndeliverableError, TimeoutError):",
        "tests/integration/test_hang_up.py::test_a_last_frame_that_fails_keeps_no_connection_open",
    ),
    Mutant(
        "closing: what is not closed is forgotten",
        "shared/stream/hang_up.py",
        "    with suppress(GoneError, UndeliverableError):\n        async with asyncio.timeout(_CLOSED",
        "    with suppress(GoneError, UndeliverableError, ThrottledError):\n        async with asyncio.timeout(_CLOSED",
        "tests/integration/test_hang_up.py::test_what_is_not_closed_is_not_forgotten_and_is_closed_by_whoever_comes_again",
    ),
    Mutant(
        "closing: what comes after the end is free",
        "shared/stream/subscriptions.py",
        "return None if item is None or not items.lives(item) else connection_of_item(connection_id, item)",
        "found = None if item is None or not items.lives(item) else connection_of_item(connection_id, item)\n"
        "    return None if found is None or found.is_over else found",
        "tests/integration/test_hang_up.py::test_what_a_connection_sends_until_it_is_closed_counts_against_its_account",
    ),
    Mutant(
        "closing: one whose credential has ended is open, and none of the account's",
        "shared/stream/open_connections.py",
        '"expires_at": {"N": str(record.ends_at)},',
        '"expires_at": {"N": str(record.expires_at)},',
        "tests/integration/test_hang_up.py::test_one_that_is_over_counts_until_it_is_closed_and_is_when_there_is_no_room",
    ),
    Mutant(
        "webhooks: an account's receivers hold the watch for all",
        "shared/database/sql/waits.sql",
        "WHEN 'webhook' THEN max_webhooks ",
        "WHEN 'webhook' THEN 1000 ",
        "tests/integration/test_webhooks_share.py::test_receivers_that_answer_nothing_hold_their_accounts_places_and_no_more",
    ),
    Mutant(
        "webhooks: all who have no place come again at once",
        "functions/api/watch/main.py",
        "        except TooManyWaitsError:\n            # No",
        "        except ZeroDivisionError:\n            # No",
        "tests/integration/test_webhooks_share.py::test_who_has_no_place_is_looked_at_again_soon",
    ),
)
