"""Attacks on the deployed stack, each with its defence off and on; somebody works meanwhile: ``make abuse``.

An attack counts only if it gets through where its one defence is switched off: else it would prove nothing. A victim,
an account that nobody attacks, has runs of its own beside it: their first token may take twice as long as before.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.conversation import Conversation
from bench.report import percentile, sized
from infra.constructs.functions import FUNCTIONS
from tests.abuse import Account, Attack
from tests.abuse.limits import ATTACKS as LIMITS
from tests.abuse.sharing import ATTACKS as SHARING
from tests.abuse.tenancy import ATTACKS as TENANCY
from tests.e2e.conftest import LOCAL_DIR, RunningStack, deployed, own_code
from tests.mutants import Mutant

ATTACKS = (*TENANCY, *SHARING, *LIMITS)
LONGEST_S = 120
_TOKENS_BEFORE = sized(20, 2)
_AT_LEAST = sized(10, 2)
# With two runs nothing is measured.
_SLOWER = sized(2.0, float("inf"))


class Switchboard:
    """The functions' sources, a copy for each of their groups, in which defences are switched off."""

    def __init__(self, sources: Iterable[Path]) -> None:
        self._sources = list(sources)

    @contextmanager
    def off(self, defence: tuple[Mutant, ...]) -> Generator[None]:
        """While this is open the next invocation of every function is without the defence."""
        kept: dict[Path, str] = {}
        try:
            for mutant in defence:
                for source in self._sources:
                    path = source / mutant.file
                    if path.exists():
                        kept.setdefault(path, path.read_text(encoding="utf-8"))
                        mutant.put_into(source)
            yield
        finally:
            for path, text in kept.items():
                path.write_text(text, encoding="utf-8")


@dataclass
class Victim:
    """An account of nobody's business. ``first_token_s``: of each of its runs, in seconds."""

    stack: RunningStack
    first_token_s: list[float] = field(default_factory=list[float])

    async def work(self, runs: int) -> None:
        """Some runs, one after the other."""
        async with Conversation(Account(self.stack).client) as conversation:
            for _ in range(runs):
                began = time.perf_counter()
                first: float | None = None
                async for event in conversation.ask("[[first 0]] [[say hello]]"):
                    if first is None and event["params"]["data"].get("event") == "content-block-delta":
                        first = time.perf_counter() - began
                assert first is not None, "a run ended without a token"
                self.first_token_s.append(first)

    @property
    def p99(self) -> float:
        return percentile(self.first_token_s, 99)


@dataclass(frozen=True)
class Played:
    """``counted``: without its defence it got through; ``through``: with it, too; ``slower``: the victim's p99."""

    attack: Attack
    counted: bool
    through: bool
    slower: float


async def _play(stack: RunningStack, attack: Attack, switchboard: Switchboard, usual: float) -> Played:
    async with asyncio.timeout(LONGEST_S):
        with switchboard.off(attack.defence):
            counted = await attack.play(stack)
    throughs: list[bool] = []
    victims: list[Victim] = []
    # Once while functions start again, as many as it takes; once to be measured.
    for _ in range(2):
        victims.append(Victim(stack))
        async with asyncio.timeout(LONGEST_S), asyncio.TaskGroup() as both:
            both.create_task(victims[-1].work(_AT_LEAST))
            throughs.append(await attack.play(stack))
    return Played(attack, counted, any(throughs), victims[-1].p99 / usual)


async def _all(stack: RunningStack, switchboard: Switchboard, attacks: list[Attack]) -> list[Played]:
    played: list[Played] = []
    for attack in attacks:
        usual = Victim(stack)
        await usual.work(3)
        usual.first_token_s.clear()
        await usual.work(_TOKENS_BEFORE)
        began = time.monotonic()
        try:
            done = await _play(stack, attack, switchboard, usual.p99)
        except Exception:  # it proves nothing, and the others go on
            traceback.print_exc()
            done = Played(attack, counted=False, through=False, slower=0)
        played.append(done)
        verdict = "THROUGH" if done.through else "held" if done.counted else "NOT COUNTED"
        print(
            f"{attack.name:60} {verdict:12} victim x {done.slower:4.2f}  {time.monotonic() - began:5.1f} s", flush=True
        )
    return played


def main() -> int:
    """Play the attacks, or those whose names have the words; fails unless each counts and none gets through."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="those whose names have the words in them")
    arguments = parser.parse_args()
    chosen = [attack for attack in ATTACKS if arguments.only in attack.name]
    with deployed() as stack, tempfile.TemporaryDirectory(dir=LOCAL_DIR) as folder, ExitStack() as left:
        groups: dict[str, list[str]] = {}
        for name, function in FUNCTIONS.items():
            groups.setdefault(function.group, []).append(name)
        sources = [
            left.enter_context(own_code(stack, group, names, Path(folder) / group)) for group, names in groups.items()
        ]
        played = asyncio.run(_all(stack, Switchboard(sources), sized(chosen, chosen[:1])))
    counted = sum(done.counted for done in played)
    through = sum(done.through for done in played)
    slower = max(done.slower for done in played)
    print(json.dumps({"attacks": len(played), "victim_p99_ratio_max": round(slower, 2)}))
    print(f"abuse: {counted} counted, {through} got through")
    return 0 if counted == len(played) and not through and slower <= _SLOWER else 1


if __name__ == "__main__":
    sys.exit(main())
