"""Files between the packets of TVM's: where they belong, however the stream is cut."""

from __future__ import annotations

import itertools
import struct

from hypothesis import given
from hypothesis import strategies as st

from compiler.runtime.rpc.relay_process import MARKED_BYTES, Packets

MARK = b"0123456789abcdef" * 2


def packet(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


contents = st.one_of(
    st.binary(max_size=40),
    st.integers(1, 99_999_999).map(lambda number: b"call" + MARK + b"%08d" % number + b"rest"),
    st.integers(1, 9).map(lambda number: bytes(MARKED_BYTES) + MARK + b"%08d" % number),
)


@given(st.lists(contents, max_size=6), st.lists(st.integers(0, 9000), max_size=8))
def test_a_file_follows_its_packet_however_the_stream_is_cut(packets: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(packet, packets))
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    relayed, places, found = b"", [], Packets(MARK)
    for begin, end in itertools.pairwise(edges):
        for part, number in found.parts(memoryview(stream)[begin:end]):
            relayed += part
            if number:
                places.append((len(relayed), number))
    expected, at = [], 0
    for content in packets:
        at += 8 + len(content)
        if MARK in content and len(content) <= MARKED_BYTES:
            expected.append((at, int(content[content.index(MARK) + len(MARK) :][:8])))
    assert relayed == stream and places == expected
