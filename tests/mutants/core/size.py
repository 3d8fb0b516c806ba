"""At any size: what is kept of a log, what one process takes, what is measured."""

from tests.mutants import Mutant

_LOG = "tests/integration/test_log_size.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="a log is as large as its events",
        file="shared/stream/append.lua",
        old="        if bytes - bytes_with(entry) < keep_bytes then\n",
        new="        if keep_bytes > 0 then\n",
        test=f"{_LOG}::test_whoever_has_not_read_what_was_trimmed_is_told_of_a_gap",
    ),
    Mutant(
        name="a log's bytes are counted anew with each append",
        file="shared/stream/append.lua",
        old="    last, bytes = seq_of(tail[1]), bytes_with(tail[1])\n",
        new="    last = seq_of(tail[1])\n",
        test=f"{_LOG}::test_a_log_keeps_its_newest_bytes_and_nothing_else_is_missing",
    ),
    Mutant(
        name="a plan's replay is a day",
        file="shared/stream/log.py",
        old="    ttl_ms = TTL_MS if hold.replay_s is None else hold.replay_s * 1000\n",
        new="    ttl_ms = TTL_MS\n",
        test=f"{_LOG}::test_a_plan_says_for_how_long_a_log_is_kept",
    ),
    Mutant(
        name="a run keeps its connection while its tools work",
        file="functions/runner/tool_execution.py",
        old="            result = await invoke(\n",
        new="            from shared.database import connection\n\n            async def held(*given, **more):\n"
        "                async with connection():\n                    return await invoke(*given, **more)\n\n"
        "            result = await held(\n",
        test="tests/integration/loop/test_many_runs.py",
    ),
    Mutant(
        name="ten runs have the connections of one",
        file="infra/stages.py",
        old="concurrency=22, pool_size=4,",
        new="concurrency=22,",
        test="tests/infra/test_stages.py",
    ),
    Mutant(
        name="a statement is measured by nobody",
        file="bench/scale.py",
        old="    if unknown:\n",
        new="    if not found:\n",
        test="tests/integration/test_scale.py",
    ),
)
