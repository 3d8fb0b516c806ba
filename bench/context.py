"""What it costs to build a run's context: ``make bench-context``.

CPU (of this process, all threads) and rows read of one whole build, on a real database: of a thread of 200 messages;
of one of 2,000 that was never summarised, so that as much as can be has to be read; of the same with a summary. In the
same run, taking turns with the builds: a recount of the 200 messages by ``litellm.token_counter``, which is what a
context manager pays on every turn that keeps no counts.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, cast

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

from bench.database import database
from bench.report import distribution, report, sized
from shared.context.budget import budget_of
from shared.context.counting import count_tools
from shared.context.manager import Context, ContextManager
from shared.context.summary_text import message as summary_message
from shared.database import context, transaction
from shared.database.context import NewSummary, Scope
from shared.database.pool import DirectConnection
from shared.domain import Claim, Json
from shared.llm import Llm
from shared.runs import transitions
from shared.settings import ModelSettings

MODEL = "gpt-4o"
# One of each exact family.
FAMILIES = ("gpt-4-turbo", "gpt-4o", "claude-2")
SYSTEM = "You are a helpful assistant with tools. " * 40
TOOLS: list[Json] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name} something, and answer what was found.",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        },
    }
    for name in ("search", "read_file", "http_fetch")
]
ACCOUNT = "bench"

VOCABULARY = (  # noqa: SIM905 - a list of 67 strings says less
    "the of and to in is that it for was on are as with they be at this have from or had by word but what some we can "
    "out other were all there when up use your how said an each she which do their time if will way about many then "
    "database connection request handler latency percentile Grüße façade 上下文 管理 данные 42 3.14 0xff"
).split()


# litellm's own type names what OpenAI's schema is a subset of.
_LITELLM_TOOLS = cast("Any", TOOLS)


def conversation(count: int) -> list[tuple[str, Json]]:
    """Messages as agents have them: questions, calls, results (some longer than a model is given), answers.

    Their sizes are such that 200 of them nearly fill the budget. So both threads give the model about as much, and the
    ratio says what the length of a thread costs, not what a larger context does.
    """
    dice = random.Random(1)

    def words(least: int, most: int) -> str:
        return " ".join(dice.choice(VOCABULARY) for _ in range(dice.randint(least, most)))

    written: list[tuple[str, Json]] = []
    while len(written) < count:
        call_id = f"call_{len(written)}"
        arguments = json.dumps({"query": words(3, 12)})
        call = {"id": call_id, "type": "function", "function": {"name": "search", "arguments": arguments}}
        result = words(800, 4000) if dice.random() < 0.2 else words(300, 500)
        written += [
            ("user", {"role": "user", "content": words(250, 500)}),
            ("assistant", {"role": "assistant", "content": words(200, 400), "tool_calls": [call]}),
            ("tool", {"role": "tool", "tool_call_id": call_id, "name": "search", "content": result}),
            ("assistant", {"role": "assistant", "content": words(350, 500)}),
        ]
    return written[:count]


async def grown_thread(connection: DirectConnection, count: int) -> Claim:
    """A thread of ``count`` messages, four a run; the claim of its newest run, whose question is the last message."""
    thread_id, run_id = uuid.uuid4(), uuid.uuid4()
    number = (count - 1) // 4 + 1
    await connection.execute("INSERT INTO accounts VALUES ($1) ON CONFLICT DO NOTHING", ACCOUNT)
    await connection.execute(
        "INSERT INTO threads (thread_id, account_id, last_run_number) VALUES ($1, $2, $3)", thread_id, ACCOUNT, number
    )
    await connection.execute(
        "INSERT INTO agent_runs (agent_run_id, thread_id, account_id, number, assistant_id) "
        "VALUES ($1, $2, $3, $4, 'agent')",
        run_id,
        thread_id,
        ACCOUNT,
        number,
    )
    await connection.executemany(
        "INSERT INTO messages (message_id, thread_id, account_id, run_number, position, agent_run_id, type, content) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (
                uuid.uuid4(),
                thread_id,
                ACCOUNT,
                place // 4 + 1,
                place % 4,
                run_id if place // 4 + 1 == number else None,
                kind,
                json.dumps(content),
            )
            for place, (kind, content) in enumerate(conversation(count))
        ],
    )
    await connection.execute("ANALYZE")
    claim = await transitions.claim(agent_run_id=run_id, account_id=ACCOUNT, executor="queue", lease_s=3600)
    if claim is None:
        raise RuntimeError("a new run cannot be claimed")
    return claim


async def summarise(claim: Claim) -> None:
    """Have a summary of the usual size stand for all but the newest fifth of the budget."""
    text = " ".join(random.Random(2).choice(VOCABULARY) for _ in range(4000))
    new = NewSummary(
        message_id=uuid.uuid4(),
        content=summary_message(text),
        metadata={},
        covers=(claim.number - 12, 3),
        follows=None,
    )
    async with transaction() as connection:
        await context.insert_summary(connection, Scope.of(claim), new)


def old_tokenizer(model: str) -> Any:
    """The tokenizer that litellm has to be handed for Claude 2; ``None`` for the others."""
    if model != "claude-2":
        return None
    folder = resources.files("litellm.litellm_core_utils.tokenizers")
    return litellm.create_tokenizer((folder / "anthropic_tokenizer.json").read_text(encoding="utf-8"))


async def is_exact(manager: ContextManager, claim: Claim) -> bool:
    """Whether the tokens of a context are those of a recount, for every exact family."""
    for model in FAMILIES:
        extra = count_tools(TOOLS, model=model, system=True)
        built = await manager.build(claim, model=model, system=SYSTEM, extra_tokens=extra)
        recount = litellm.token_counter(
            model=model, custom_tokenizer=old_tokenizer(model), messages=built.messages, tools=_LITELLM_TOOLS
        )
        print(f"{model}: {built.tokens} tokens in {len(built.messages)} messages, recounted {recount}")
        if built.tokens != recount:
            return False
    return True


async def cpu_ms(work: Callable[[], Awaitable[object]]) -> float:
    """CPU time of this process for ``work``, in milliseconds."""
    begun = time.process_time()
    await work()
    return (time.process_time() - begun) * 1000


async def measure(rounds: int) -> None:
    """Measure and report."""
    async with database() as connection:
        small, large, summarised = [await grown_thread(connection, count) for count in (200, 2000, 2000)]
        await summarise(summarised)
        manager = ContextManager(llm=Llm(ModelSettings(default_model=MODEL)))
        extra = count_tools(TOOLS, model=MODEL, system=True)

        async def build(claim: Claim) -> Context:
            return await manager.build(claim, model=MODEL, system=SYSTEM, extra_tokens=extra, summarize=False)

        claims = {"200 messages": small, "2,000, never summarised": large, "2,000, summarised": summarised}
        # The first build counts what has not been counted; from then on it is read.
        for claim in claims.values():
            await build(claim)
        built = {name: await build(claim) for name, claim in claims.items()}

        stored = [{"role": "system", "content": SYSTEM}, *(content for _, content in conversation(200))]

        async def recount() -> None:
            litellm.token_counter(model=MODEL, messages=stored, tools=_LITELLM_TOOLS)

        spent: dict[str, list[float]] = {name: [] for name in [*claims, "recount of the 200"]}
        for _ in range(rounds):
            for name, claim in claims.items():
                spent[name].append(await cpu_ms(lambda claim=claim: build(claim)))
            spent["recount of the 200"].append(await cpu_ms(recount))
        exact = await is_exact(manager, small)

    p50 = {name: statistics.median(values) for name, values in spent.items()}

    def per_1000_tokens(name: str) -> int:
        return round(p50[name] * 1_000_000 / built[name].tokens)

    rows = {
        name: {
            **{f"cpu ms {word}": value for word, value in distribution(values).items() if word in ("p50", "p95")},
            **(
                {
                    "rows": built[name].rows_read,
                    "given": len(built[name].messages),
                    "left out": built[name].left_out,
                    "tokens": built[name].tokens,
                }
                if name in built
                else {}
            ),
        }
        for name, values in spent.items()
    }
    report(
        "context",
        title=f"One whole context build, budget {budget_of(MODEL)} tokens ({rounds} rounds)",
        rows=rows,
        figures={
            "build_cpu_ratio_2000_over_200": round(p50["2,000, never summarised"] / p50["200 messages"], 2),
            "build_cpu_ratio_2000_summarised_over_200": round(p50["2,000, summarised"] / p50["200 messages"], 2),
            "rows_read_200": built["200 messages"].rows_read,
            "rows_read_2000": built["2,000, never summarised"].rows_read,
            "rows_read_2000_summarised": built["2,000, summarised"].rows_read,
            "recount_over_build_cpu_200": round(p50["recount of the 200"] / p50["200 messages"], 1),
            "build_cpu_ms_200": round(p50["200 messages"], 1),
            "build_cpu_us_per_1000_tokens_200": per_1000_tokens("200 messages"),
            "build_cpu_us_per_1000_tokens_2000": per_1000_tokens("2,000, never summarised"),
            "tokens_200": built["200 messages"].tokens,
            "tokens_2000": built["2,000, never summarised"].tokens,
            "exact": exact,
            "rounds": rounds,
        },
    )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=sized(30, 1))
    asyncio.run(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
