"""The life of a run: recorded, claimed, leased, handed over, ended, settled."""
