"""Defences that are taken out, one at a time: a test must say so."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """A defence that is taken out.

    name: what the code then does wrong.
    file: where the defence is; ``old``: its text, which is there once; ``new``: what is there in its place.
    test: what catches it: a file of tests, with ``::test`` of one in it; of the page also Vitest's, with its title.
    """

    name: str
    file: str
    old: str
    new: str
    test: str

    def put_into(self, root: Path) -> None:
        """Take the defence out of the sources in ``root``.

        Raises:
            ValueError: its text is not there, or more than once: the list is behind the code.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} has {self.old!r} {text.count(self.old)} times, not once")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
