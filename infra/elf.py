"""Reads and shortens ELF shared objects: which processor they are for, and what only a debugger reads.

Written out because `strip` handles only its own processor's files, and the bundles are built for another one.
Source: ELF-64 Object File Format, version 1.5: file header and program header table, little endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LITTLE_ENDIAN_64 = b"\x7fELF\x02\x01"


def machine_of(path: Path) -> str | None:
    """Machine of an ELF file (`aarch64`, `x86_64`, or its number in hex); None if the file is not 64-bit ELF."""
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    if not header.startswith(_LITTLE_ENDIAN_64) or len(header) < _HEADER.size:
        return None
    machine: int = _HEADER.unpack(header)[2]
    return _MACHINES.get(machine, hex(machine))


def shared_objects(root: Path) -> Iterator[Path]:
    """Every shared object below a folder, `libx.so.1` included."""
    return (path for path in sorted(root.rglob("*.so*")) if path.is_file())


def drop_sections(path: Path) -> int:
    """Cut a shared object after its last segment: symbol and debug tables go, all that is loaded stays.

    The loader works with segments alone, sections are for linkers and debuggers. Returns the bytes saved.
    """
    content = path.read_bytes()
    if not content.startswith(_LITTLE_ENDIAN_64):
        return 0
    fields = list(_HEADER.unpack_from(content))
    table, entry_size, entries = fields[5], fields[9], fields[10]
    end = table + entry_size * entries
    for index in range(entries):
        segment = _SEGMENT.unpack_from(content, table + index * entry_size)
        end = max(end, segment[2] + segment[5])
    fields[6] = fields[12] = fields[13] = 0  # no section table: its offset, its length, its name index
    path.write_bytes(_HEADER.pack(*fields) + content[_HEADER.size : end])
    return len(content) - end
