"""What ``SECURITY.md`` promises, taken out: without it somebody sees, stops or spends what is another's."""

from tests.mutants import Mutant
from tests.mutants.security import access, held, limits, page, poison, sender, spending, tools

MUTANTS: tuple[Mutant, ...] = (
    *access.MUTANTS,
    *held.MUTANTS,
    *limits.MUTANTS,
    *sender.MUTANTS,
    *spending.MUTANTS,
    *poison.MUTANTS,
    *page.MUTANTS,
    *tools.MUTANTS,
)
