"""The sender: what its environments are held by, and for whom."""

from tests.mutants import Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "sender: what cannot be posted is tried for ever",
        "shared/stream/connections.py",
        "            case HTTPStatus.BAD_REQUEST | HTTPStatus.FORBIDDEN | HTTPStatus.CONTENT_TOO_LARGE:\n"
        '                raise UndeliverableError(f"the gateway answers {answer.status}")\n',
        "",
        "tests/integration/test_sender.py::test_a_connection_that_cannot_be_posted_to_is_forgotten_and_closed_at_once",
    ),
    Mutant(
        "sender: who takes nothing is waited for",
        "shared/stream/sender.py",
        "_PATIENCE_S = 30.0",
        "_PATIENCE_S = 1e9",
        "tests/unit/test_delivery.py::test_a_client_that_takes_nothing_is_given_up_and_one_that_is_slow_is_not",
    ),
    Mutant(
        "sender: no share of an account",
        "shared/database/sql/waits.sql",
        "WHEN 'sender' THEN max_senders ",
        "WHEN 'sender' THEN 1000 ",
        "tests/integration/test_sender_share.py::test_an_account_has_its_share_of_the_sender_and_what_waits_is_served_by_whoever_has_it",
    ),
    Mutant(
        "sender: readers are served on the places of whose thread it is",
        "functions/api/commands.py",
        "account_id=caller.account_id, is_others=is_others)",
        "account_id=caller.thread_account_id)",
        "tests/integration/test_sender_of_readers.py::test_who_subscribes_to_anothers_thread_is_served_on_its_own_places",
    ),
    Mutant(
        "sender: readers are served for as long as whose thread it is",
        "functions/api/sender/serving.py",
        "others(limit_s=READERS_S)",
        "others(limit_s=limit_s)",
        "tests/integration/test_sender_of_readers.py::test_who_serves_the_owner_leaves_slow_readers_to_senders_of_their_own",
    ),
    Mutant(
        "sender: a run's end waits for readers",
        "shared/stream/delivery.py",
        "timeout_s=min(timeout_s, READERS_S)",
        "timeout_s=timeout_s",
        "tests/integration/test_sender_of_readers.py::test_an_executor_waits_for_no_reader_at_the_end_of_a_run",
    ),
    Mutant(
        "sender: readers have no share",
        "functions/api/sender/main.py",
        "await sender_calls.add(taken, thread_id=thread_id, account_id=account_id, is_others=is_others)",
        "await sender_calls.add(taken, thread_id=thread_id, account_id=account_id)",
        "tests/integration/test_sender_of_readers.py::test_a_reader_of_more_threads_than_it_has_places_for_waits_and_is_served",
    ),
    Mutant(
        "sender: a reader's failure is the owner's",
        "functions/api/sender/serving.py",
        "    errors += served.failed.values()\n",
        "    errors += [*served.failed.values(), *read.failed.values()]\n",
        "tests/integration/test_sender_of_readers.py::test_a_reader_who_cannot_be_served_fails_nothing_of_the_account_whose_thread_it_is",
    ),
    Mutant(
        "sender: deaf readers hold the sockets of the account whose thread it is",
        "shared/stream/connections.py",
        "    if not is_reader:\n",
        "    if True:\n",
        "tests/integration/test_sender_of_readers.py::test_deaf_readers_hold_their_share_of_an_executors_sockets_and_no_more",
    ),
    Mutant(
        "sender: one reader holds all sockets of readers",
        "shared/stream/connections.py",
        "_OF_READER = Shares(16)",
        "_OF_READER = Shares(128)",
        "tests/integration/test_sender_of_readers.py::test_deaf_readers_hold_their_share_of_an_executors_sockets_and_no_more",
    ),
    Mutant(
        "sender: who waits for a socket is taken for deaf",
        "shared/stream/connections.py",
        "TCPConnector(limit=0,",
        "TCPConnector(limit=100,",
        "tests/integration/test_sender_of_readers.py::test_deaf_readers_hold_their_share_of_an_executors_sockets_and_no_more",
    ),
)
