"""Tools whose effects are counted, independently of everything that the loop records."""

import asyncio
from dataclasses import dataclass, field

from functions.runner.tools.builtin.conversation import Ask, Complete
from functions.runner.tools.function import ToolContext, ToolFunction
from functions.runner.tools.result import ToolResult
from functions.runner.tools.tool import Tool
from shared.domain import Json
from tests.integration.loop import faults
from tests.integration.loop.script import IDEMPOTENT, NEED_APPROVAL

_PARAMETERS: Json = {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]}


@dataclass(frozen=True)
class Effect:
    """That a tool has done something: for which call, in which run's service, by which attempt."""

    tool: str
    call_id: str
    run_id: object
    attempt: int


@dataclass
class Ledger:
    """The effects by the token that the call carried; every call of a script has its own."""

    effects: dict[str, list[Effect]] = field(default_factory=dict[str, list[Effect]])

    def add(self, token: str, effect: Effect) -> None:
        """Note an effect."""
        self.effects.setdefault(token, []).append(effect)


class Effects(Tool):
    """``put`` and ``sign`` are idempotent, ``pay`` and ``sign`` need approval, ``fail`` raises when it is done."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def functions(self) -> list[ToolFunction]:
        """The functions."""
        counted = [self._counted(name) for name in ("put", "post", "pay", "sign", "fail")]
        return [*counted, *Ask().functions(), *Complete().functions()]

    def _counted(self, name: str) -> ToolFunction:
        async def invoke(arguments: Json, context: ToolContext) -> ToolResult:
            attempt = faults.current()
            assert attempt is not None
            await attempt.point("effect")
            self._ledger.add(arguments["token"], Effect(name, context.call_id, context.agent_run_id, attempt.number))
            await asyncio.sleep(0)
            await attempt.point("effected")
            if name == "fail":
                raise ValueError("this tool fails")
            return ToolResult(True, f"done {arguments['token']}")

        return ToolFunction(
            name=name,
            description=f"Does {name}.",
            parameters=_PARAMETERS,
            invoke=invoke,
            idempotent=name in IDEMPOTENT,
            timeout_s=100,
            needs_approval=name in NEED_APPROVAL,
        )
