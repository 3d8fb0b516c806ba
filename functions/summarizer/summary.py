"""A summary of the older part of a thread; what is recent stays verbatim."""

import json
from uuid import uuid4

from shared.database import connection, messages
from shared.domain import Claim, Json, Message
from shared.llm import Llm
from shared.runs.transitions import holding
from shared.telemetry import logger

# Fewer are never summarised.
FEWEST_MESSAGES = 3
KEPT_VERBATIM = 4

_INSTRUCTION = """\
Summarise the conversation below for the assistant who will continue it. Keep every fact, decision, name, number, \
path and open task that may still matter, in the order of their happening; if it begins with an earlier summary, \
carry on everything in it. Answer with the summary only."""

# The marked form that Suna gives a summary to the model in.
_FORM = """\
======== CONVERSATION HISTORY SUMMARY ========

{summary}

======== END OF SUMMARY ========

The above is a summary of the conversation history. The conversation continues below."""


class Summarizer:
    """Makes summaries with a model."""

    def __init__(self, llm: Llm) -> None:
        self._llm = llm

    async def summarize(self, claim: Claim) -> bool:
        """Summarise the thread of a claimed run, but for its newest messages; False if there is too little of it.

        The new summary takes in the old one, so nothing that was ever summarised is lost.

        Raises:
            LeaseLostError: the run is somebody else's by now; nothing was written.
        """
        async with connection() as taken:
            context = await messages.context(
                taken, thread_id=claim.thread_id, account_id=claim.account_id, run_number=claim.number
            )
        older = context[: _first_verbatim(context)]
        if len(older) < FEWEST_MESSAGES:
            return False
        model = claim.model or self._llm.default_model
        text = await self._llm.complete(model=model, messages=_prompt(older))
        last = older[-1]
        async with holding(claim) as taken:
            await messages.insert(
                taken,
                message_id=uuid4(),
                thread_id=claim.thread_id,
                account_id=claim.account_id,
                run_number=claim.number,
                type="summary",
                content={"role": "user", "content": _FORM.format(summary=text)},
                metadata={"model": model, "messages": len(older)},
                agent_run_id=claim.agent_run_id,
                covers=(last.run_number, last.position),
            )
        logger.info("summarised", extra={"messages": len(older)})
        return True


def _first_verbatim(context: list[Message]) -> int:
    """Where the verbatim tail begins: never between a call and its result."""
    index = max(0, len(context) - KEPT_VERBATIM)
    while index > 0 and context[index].type == "tool":
        index -= 1
    return index


def _prompt(older: list[Message]) -> list[Json]:
    conversation = "\n".join(json.dumps(message.content, ensure_ascii=False) for message in older)
    return [{"role": "system", "content": _INSTRUCTION}, {"role": "user", "content": conversation}]
