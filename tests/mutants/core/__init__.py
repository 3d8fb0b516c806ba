"""What the lifecycles promise, taken out: without it something is lost, done twice, or said and not done."""

from tests.mutants import Mutant
from tests.mutants.core import log, runs, size, sweep, unserved

MUTANTS: tuple[Mutant, ...] = (
    *log.MUTANTS,
    *runs.MUTANTS,
    *sweep.MUTANTS,
    *size.MUTANTS,
    *unserved.MUTANTS,
)
