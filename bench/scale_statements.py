"""With what every statement of ``shared/database/sql`` is asked, and which of them are linear by nature.

An argument is a name of :class:`bench.scale_data.Ids`, a number, ``-`` (NULL), ``t`` or ``f``, ``'text``, ``{}``, or
several of these in brackets (an array). A statement that is not here fails the measurement.
"""

from collections.abc import Sequence

_ALL = """
accounts.mark account
accounts.is_marked account
accounts.begin_round account 20
accounts.end_round account
accounts.idle_threads account 100
accounts.delete_messages deep account 2000
accounts.delete_api_keys 'account-1
accounts.delete_assistants 'account-1
accounts.delete_idempotency_keys 'account-1
accounts.delete_reader_calls 'account-1
accounts.delete_waits account
accounts.delete 'nobody
api_keys.create new account hash 'a ['read] now
api_keys.forget account 10
api_keys.page account 10 0
api_keys.revoke key account
api_keys.use secret
api_keys.get key account
assistants.insert new account {}
assistants.insert_version assistant 3 'a - {}
assistants.get assistant account -
assistants.page account [assistant] [1] 3000000 f
assistants.search account {} - 10 0
assistants.search_sorted account {} - 10 0 'name t
assistants.count account {} -
assistants.versions assistant account 10 0 {}
assistants.lock assistant account
assistants.newest assistant
assistants.set_version assistant 2 {} 1000
assistants.delete assistant account
assistants.catalogue 'models
assistants.write_catalogue 'models json
budgets.of_run account deep deep_done_number
budgets.of_day account
budgets.charge_unkept new deep account 1 {}
checkpoints.place deep_done_message deep account
checkpoints.newest deep account
checkpoints.until deep account - deep_done_number 3 10 1000000
checkpoints.last_input deep account deep_done_number
checkpoints.interrupts [deep] account
context.newest_summary deep account runs deep_last_run encoding version
context.page deep account 0 -1 runs 4 encoding version 100 100000
context.question deep account deep_done_run deep_done_number runs 4 encoding version
context.count_after deep account after 4 runs
context.contents deep account [deep_done_message] [t] encoding version
context.keep_counts [deep_done_answer] [1] [1] [-] encoding version
context.request_summary deep_last_run summary f
context.fingerprint deep account after 4 runs 4
context.insert_summary new deep account runs deep_last_run {} {} runs 3 summary
context.ended_run deep_done_run account 0
deleted_events.get deep_done_run account
deleted_events.old 10
deleted_events.remove deep_done_run
deleted_logs.get deep_generation
deleted_logs.of_account account 100
deleted_logs.old 10
deleted_logs.remove deep_generation
facts.add deep [deep_last_run] ['custom] ['{}] [1]
facts.hold_epoch deep deep_generation deep_epoch
facts.number deep 9999 100
facts.unlogged deep [1]
facts.at_hand deep deep_generation 1 100000 200
facts.logged [1,2,3]
facts.has_unlogged deep
files.insert new deep account 'a 'b 5 object t
files.count deep account
files.list deep account 10 0
files.find [file] deep account
files.note_stored [file] deep account
files.delete file deep account
files.expect [object] [5]
files.due_removals 100
files.note_removed [object]
holdings.threads account
holdings.assistants account
holdings.versions account
holdings.api_keys account
holdings.bytes account
holdings.files account 'a
idempotency.begin account 'POST 'new hash 200
idempotency.get account 'POST once
idempotency.keep account 'POST once {}
instances.held deep_last_instance
instances.drain new 60
instances.is_drained new
messages.insert new deep account runs deep_last_run new 'assistant t {} {} - -
messages.replace deep_last_answer {} {}
messages.charge deep_last_answer {}
messages.content deep_done_message deep account
messages.turns deep deep_done_number deep_done_run
messages.last_of_run deep deep_done_number deep_done_run
messages.list deep account 20 0 1000000
plans.usage account deep
plans.request_rate account
plans.answer_tool_calls account
plans.allowed account
plans.file_limits account
plans.connection_limits account
run_ends.get deep_done_run account
runs.insert new waiting account 99 'agent - {} {} 'enqueue 0
runs.number_thread waiting 99 'agent
runs.unfinished_of_account account - - ['queued,'running] 100
runs.delete deep_done_run deep account
runs.get deep_done_run account deep
runs.list deep account - 10 0 3000000
runs.newest deep account
runs.lock_thread_of deep_last_run account
runs.claim waiting_last_run 'queue 30 - 1000 new
runs.hold deep_last_run 1
runs.renew [deep_last_run] [1] 30
runs.reserve_seq deep deep_generation deep_epoch 1000
runs.is_newest_epoch deep deep_generation deep_epoch
runs.adopt_log waiting account 1000
runs.close_log deep deep_generation deep_epoch 99999
runs.held deep_last_run 1
runs.end deep_last_run 'completed - 0
runs.hand_over deep_last_run 1 60
runs.release deep_last_run 1
runs.progressed deep_last_run 1
runs.next_queued waiting
runs.settled deep_last_run
runs.take_back deep_last_run
runs.dispatched waiting_last_run
runs.watch deep_last_run account
runs.lease_held deep_last_run 0
runs.unheld waiting_last_run - -
runs.request_stop deep_last_run 'stop
runs.asked_of_holder deep_last_run 1
runs.unfinished_of_thread deep account
runs.hide_messages deep_done_run
sender_calls.add deep account
sender_calls.add_others deep account
sender_calls.next account deep
sender_calls.answered deep account now
sender_calls.answered_others deep account now
sweep.events 1000
sweep.idempotency_keys 1000
sweep.api_keys 1000
sweep.usage_days 1000
sweep.waits 1000
sweep.reader_calls 1000
sweep.drained_instances 1000
sweep.deleted_accounts 1000
sweep.days_of_deleted_accounts 1000
threads.ensure_account account
threads.is_being_deleted account
threads.create new account {} f
threads.get deep account
threads.owner deep account
threads.log deep account
threads.page account [deep] 3000000
threads.search account {} - 20 0
threads.search_by_status account {} - 20 0 statuses
threads.search_sorted account {} - 20 0 - 'updated_at t
threads.count account {} - -
threads.update deep account {} - 10000
threads.bound_end deep deep_generation deep_last_run 5 f
threads.public deep
threads.delete waiting account
threads.lock deep account
threads.lock_with_account deep account
threads.stream_position deep account
tool_executions.begin deep_last_run 'call-2 deep account deep_last_call 1 'add {} 'native 'started
tool_executions.start deep_last_call 'call-1
tool_executions.finish deep_last_call 'call-1 {}
tool_executions.answered deep_last_call 'call-1
tool_executions.of_message deep_last_call
tool_executions.unanswered deep account
tool_executions.awaiting deep account
waits.take account new 60 'run
waits.give_back account 1 new 'run
webhooks.insert deep_done_run account 'https://example.com/
webhooks.due_in deep_last_run account
webhooks.begin deep_last_run account 30
webhooks.end deep_last_run account 0 'delivered 0 -
"""

ARGUMENTS: dict[str, Sequence[str]] = {}
for _line in _ALL.strip().splitlines():
    _name, *_words = _line.split()
    ARGUMENTS[_name] = _words

_THREADS = "the account's threads: max_threads of its plan, 10,000"
_MESSAGES = "the thread's messages: max_thread_messages of its plan, 10,000"

LINEAR: dict[str, str] = {
    "accounts.delete_messages": "the messages that it deletes: $3, 2,000",
    "context.page": "one look into the counts for each of its messages: $9, 100; of a small table all is read at once",
    "context.count_after": _MESSAGES,
    "context.fingerprint": f"{_MESSAGES}, between two places",
    "facts.at_hand": "the thread's facts of a day, between two numbers; asked where the log has lost them",
    "holdings.threads": f"{_THREADS}; of an index only",
    "plans.usage": f"{_MESSAGES}; of an index only",
    "threads.count": _THREADS,
    "threads.search_sorted": f"{_THREADS}; in another order than the index's",
}
"""Statements that read more where there is more of what they are asked about: of what, and what bounds that."""
