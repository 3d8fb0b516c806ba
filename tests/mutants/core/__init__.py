"""What was said stays true: the log, a run's end, effects; without it something is lost, or done twice."""

from tests.mutants import Mutant
from tests.mutants.core import log

MUTANTS: tuple[Mutant, ...] = (*log.MUTANTS,)
