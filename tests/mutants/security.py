"""What ``SECURITY.md`` promises, taken out: without it somebody sees, stops or spends what is another's."""

from tests.mutants import Mutant

MUTANTS: tuple[Mutant, ...] = (
    # Who is calling.
    Mutant(
        "a token for another audience is accepted",
        "functions/api/auth.py",
        '"verify_aud": bool(self._settings.jwt_audience)',
        '"verify_aud": False',
        "tests/unit/test_auth_hs256.py::test_a_token_whose_claims_do_not_fit_is_refused",
    ),
    Mutant(
        "a token of another issuer is accepted",
        "functions/api/auth.py",
        "issuer=self._settings.jwt_issuer or None,",
        "issuer=None,",
        "tests/unit/test_auth_hs256.py::test_a_token_whose_claims_do_not_fit_is_refused",
    ),
    Mutant(
        "a token without an end is accepted",
        "functions/api/auth.py",
        "if not ends_at <= _LATEST_END:",
        "if False:",
        "tests/unit/test_auth_hs256.py::test_a_signed_token_that_ends_at_no_time_is_refused",
    ),
    Mutant(
        "a key that was revoked stays good",
        "functions/api/keys.py",
        "if key.revoked_at is not None:",
        "if False:",
        "tests/unit/test_keys.py::test_what_was_opened_with_a_key_ends_within_30_seconds_of_its_end",
    ),
    Mutant(
        "a key that has expired stays good",
        "functions/api/keys.py",
        "if key.expires_at is not None and key.expires_at.timestamp() <= self._wall_clock():",
        "if False:",
        "tests/unit/test_keys.py::test_an_expired_key_is_good_for_nothing_at_once",
    ),
    # Whose it is.
    Mutant(
        "a thread's log is anybody's who knows its id",
        "shared/database/sql/threads.sql",
        "SELECT thread_id, coalesce(generation, thread_id) AS generation FROM threads"
        " WHERE thread_id = $1 AND account_id = $2",
        "SELECT thread_id, coalesce(generation, thread_id) AS generation FROM threads"
        " WHERE thread_id = $1 AND $2::text IS NOT NULL",
        "tests/integration/test_generations.py::test_a_log_is_nobodys_but_the_threads_accounts",
    ),
    Mutant(
        "a run is anybody's who knows its id",
        "shared/database/sql/runs.sql",
        "SELECT * FROM agent_runs WHERE agent_run_id = $1 AND account_id = $2 AND",
        "SELECT * FROM agent_runs WHERE agent_run_id = $1 AND $2::text IS NOT NULL AND",
        "tests/integration/test_strangers.py::test_a_stranger_sees_and_changes_nothing",
    ),
    Mutant(
        "a file is anybody's who knows its id",
        "shared/database/sql/files.sql",
        "SELECT * FROM files WHERE file_id = ANY ($1::uuid[]) AND thread_id = $2 AND account_id = $3",
        "SELECT * FROM files WHERE file_id = ANY ($1::uuid[]) AND thread_id = $2 AND $3::text IS NOT NULL",
        "tests/integration/test_strangers.py::test_a_stranger_sees_and_changes_nothing",
    ),
    Mutant(
        "a connection from before the thread was made again is served",
        "shared/stream/audience.py",
        "if subscription.is_over or subscription.generation not in {None, log.generation}:",
        "if subscription.is_over:",
        "tests/integration/test_generations.py::test_who_watched_the_thread_before_is_cut_off_by_whoever_serves_the_next_one",
    ),
    Mutant(
        "a thread that is made again has the log of the one before",
        "shared/migrations/0016_generations.sql",
        "SET DEFAULT gen_random_uuid()",
        "DROP DEFAULT",
        "tests/integration/test_generations.py::test_who_makes_it_again_reads_nothing_of_what_was_there",
    ),
    Mutant(
        "what is rolled back stays everybody's",
        "shared/runs/transitions.py",
        "await threads.bound_end(taken, held, agent_run_id=held.agent_run_id, before_end=before_end, hidden=hidden)",
        "pass",
        "tests/integration/test_publicity.py::test_what_is_rolled_back_is_not_everybodys_any_more",
    ),
    Mutant(
        "a run that went on when its thread was made public is everybody's",
        "shared/migrations/0017_public_after.sql",
        "        THEN NEW.reserved_seq\n",
        "        THEN NEW.public_after_seq\n",
        "tests/integration/test_publicity.py::test_of_such_a_run_only_the_end_is_everybodys_however_it_goes_on",
    ),
    Mutant(
        "what was said in private is everybody's if it gets its number late",
        "shared/stream/sender.py",
        "(event.is_private and self.is_others)",
        "False",
        "tests/integration/test_publicity.py::test_it_is_not_everybodys_either_where_it_gets_its_number_behind_what_is",
    ),
    Mutant(
        "a deleted run's events stay in the log",
        "shared/stream/log.py",
        '            await redis().xdel(key, *(f"{seq}-0" for seq in gone))\n',
        "            pass\n",
        "tests/integration/test_deleted_runs.py::test_its_events_are_removed_and_who_reads_is_told",
    ),
    Mutant(
        "that a thread is public is believed for ever",
        "shared/stream/subscriptions.py",
        "return self.reader_id is not None and time.monotonic() >= self.public_until",
        "return False",
        "tests/integration/test_made_private.py::test_no_answer_is_none_for_long",
    ),
    Mutant(
        "who reads slowly gets what was said since",
        "functions/api/sender/main.py",
        "            elif sender.is_others:\n                task.cancel()\n",
        "",
        "tests/integration/test_made_private.py::test_who_reads_slowly_gets_no_state_from_afterwards",
    ),
    Mutant(
        "a route trusts what it was told before it read",
        "functions/api/http/reading.py",
        "    if owner != caller.account_id and await _owner(thread_id, caller) != owner:",
        "    if False:",
        "tests/integration/test_made_private.py::test_a_route_answers_nothing_of_what_became_private_while_it_read",
    ),
    Mutant(
        "readers get the state as it was said",
        "shared/stream/sender.py",
        "self.is_others and is_state(event)",
        "False",
        "tests/integration/test_publicity.py::test_a_reader_gets_the_state_as_it_is_and_not_as_it_was_said",
    ),
    # What a provider gets.
    Mutant(
        "any entry of the secret is sent to any provider",
        "shared/llm.py",
        "return provider is not None and is_key_of(name, provider, _PROVIDERS)",
        "return provider is not None",
        "tests/unit/test_provider_keys.py::test_no_other_key_reaches_a_provider",
    ),
    Mutant(
        "any model's name reaches litellm",
        "shared/llm.py",
        '        await self.check_models([arguments["model"]])\n',
        "",
        "tests/unit/test_provider_keys.py::test_no_provider_is_reached_that_the_operator_has_not_meant",
    ),
    Mutant(
        "a block's address reaches litellm",
        "functions/runner/images.py",
        "if _names_address(block):",
        "if False:",
        "tests/integration/tools/test_remote_images.py::test_no_address_is_passed_on_or_reached_that_is_not_public",
    ),
    Mutant(
        "a masked credential is sent to another address",
        "shared/agent_config.py",
        'present.get((str(said.get("name")), str(said.get("url"))), {})',
        "next(iter(present.values()), {})",
        "tests/unit/test_agent_config.py::test_a_mask_that_stands_for_nothing_is_refused",
    ),
    # The network.
    Mutant(
        "addresses within the network are reached",
        "shared/network/addresses.py",
        "        if not is_public(address):",
        "        if False:",
        "tests/integration/tools/test_http_fetch.py::test_metadata_and_private_networks_are_refused",
    ),
    Mutant(
        "an address in another is not looked at",
        "shared/network/addresses.py",
        "            if address in network:\n                return is_public",
        "            if False:\n                return is_public",
        "tests/unit/test_addresses.py::test_an_embedded_address_counts_as_the_address_itself",
    ),
    Mutant(
        "an image may be as large as it comes",
        "functions/runner/tools/network/guarded.py",
        "            if length > self._max_bytes:",
        "            if False:",
        "tests/integration/tools/test_remote_images.py::test_why_an_image_is_not_shown_is_said",
    ),
    # What can be answered.
    Mutant(
        "JSON may be nested as deep as one likes",
        "functions/api/wire.py",
        "if depth > DEEPEST_JSON:",
        "if False:",
        "tests/unit/test_wire.py::test_what_is_nested_deeper_than_it_could_be_answered_is_refused_and_what_is_not_is_answered",
    ),
    Mutant(
        "metadata may be as large as one likes",
        "functions/api/wire.py",
        "if size > LARGEST_METADATA_BYTES:",
        "if False:",
        "tests/unit/test_wire.py::test_metadata_that_would_make_lists_too_large_is_refused",
    ),
    Mutant(
        "an answer may be as large as it comes",
        "functions/api/http/middleware.py",
        'if not _fits(message.get("body", b"")):',
        "if False:",
        "tests/unit/test_answer_size.py::test_what_fits_is_answered_and_what_does_not_is_an_error",
    ),
    # Words.
    Mutant(
        "logs show what a request asks with",
        "functions/api/request_log.py",
        "if may_be is not None and all(map(may_be.fullmatch, values)):",
        "if may_be is not None:",
        "tests/unit/test_request_log.py::test_no_secret_is_shown_wherever_it_stands",
    ),
    Mutant(
        "a header that a client sends is its address",
        "functions/api/request_log.py",
        'source.get("sourceIp")',
        "_addresses(forwarded)",
        "tests/unit/test_request_log.py::test_the_address_is_the_one_that_api_gateway_saw",
    ),
)
