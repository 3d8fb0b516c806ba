"""Tool calls as they are parsed from a model's stream, in both forms. Pure: no I/O, no clock, nothing is executed."""
