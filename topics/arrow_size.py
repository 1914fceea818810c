"""How large an Arrow stream says it is once it is unpacked: read before anything is unpacked.

Compressed buffers begin with the size that they will have, and Arrow sets aside whatever they say. So some kilobytes
could take all memory. Arrow tells nobody these sizes; they are found through the stream's own FlatBuffers tables, which
it has verified.
"""

from __future__ import annotations

import struct

import pyarrow as pa

#: Fields of the FlatBuffers tables of the Arrow format, by their place.
_HEADER, _DATA, _BUFFERS, _COMPRESSION = 2, 1, 2, 3


def unpacked_size(data: bytes) -> int:
    """Bytes that the compressed buffers of an Arrow IPC stream say they hold; 0 for a stream that is not compressed.

    Raises an error of Arrow or struct.error for bytes that are no such stream.
    """
    return sum(
        _size(message.metadata.to_pybytes(), message.body, message.type)
        for message in pa.ipc.MessageReader.open_stream(data)
        if message.type in ("record batch", "dictionary")
    )


def _size(table: bytes, body: pa.Buffer, kind: str) -> int:
    batch = _follow(table, struct.unpack_from("<I", table)[0], _HEADER)
    if batch and kind == "dictionary":
        batch = _follow(table, batch, _DATA)
    if not batch or not _follow(table, batch, _COMPRESSION) or not (buffers := _follow(table, batch, _BUFFERS)):
        return 0
    (count,) = struct.unpack_from("<I", table, buffers)
    total = 0
    for number in range(count):
        start, length = struct.unpack_from("<qq", table, buffers + 4 + 16 * number)
        if length >= 8:
            (size,) = struct.unpack_from("<q", body, start)
            total += max(size, 0)  # -1: this buffer is not compressed
    return total


def _follow(data: bytes, table: int, field: int) -> int:
    """Where the field of a table points to; 0 when the table does not have it."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    (size,) = struct.unpack_from("<H", data, vtable)
    if 4 + 2 * field >= size:
        return 0
    (offset,) = struct.unpack_from("<H", data, vtable + 4 + 2 * field)
    at: int = table + offset
    return at + int(struct.unpack_from("<I", data, at)[0]) if offset else 0
