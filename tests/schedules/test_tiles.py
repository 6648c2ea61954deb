"""Properties of the tile arithmetic, whatever the sizes and the hardware."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.cpu import conv2d, tiles
from schedules.cpu.winograd_blocks import Layer, chunks, nests
from targets import Hardware

HARDWARE = st.builds(
    Hardware,
    cores=st.integers(1, 64),
    vector_bits=st.sampled_from([128, 256, 512]),
    vector_registers=st.sampled_from([8, 16, 32]),
    l1d_bytes=st.sampled_from([None, 32 << 10]),
    l2_bytes=st.sampled_from([None, 256 << 10, 2 << 20]),
)
SIZES = st.integers(1, 4096)


@given(SIZES)
def test_divisors_are_all_of_them_in_order(n: int) -> None:
    assert tiles.divisors(n) == [d for d in range(1, n + 1) if n % d == 0]


@given(SIZES, HARDWARE)
def test_lanes_divide_and_are_the_widest(channels: int, hardware: Hardware) -> None:
    lanes = tiles.lanes_for(channels, hardware)
    widest = (hardware.vector_bits or 0) // 32
    assert channels % lanes == 0 and lanes <= widest and lanes & (lanes - 1) == 0
    assert lanes == widest or channels % (2 * lanes)


@given(st.integers(1, 512), SIZES, HARDWARE)
def test_register_tiles_fit_and_divide(rows: int, channels: int, hardware: Hardware) -> None:
    found = tiles.register_tiles(rows, channels, hardware)
    assert found, "one row by one vector always fits"
    assert len(set(found)) == len(found)
    for tile in found:
        assert rows % tile.rows == 0 and channels % tile.channels == 0
        assert tile.channels == tile.vectors * tile.lanes
        # The accumulators, the weights of a step and one broadcast activation.
        assert tile.rows * tile.vectors + tile.vectors + 1 <= (hardware.vector_registers or 0)
    best = max(tiles.efficiency(tile.rows, tile.vectors) for tile in found)
    assert tiles.efficiency(found[0].rows, found[0].vectors) >= best - 1e-3, "the first is the best by the model"
    assert found == tiles.register_tiles(rows, channels, hardware), "and always the same one"


@given(st.integers(1, 64), st.integers(1, 512), HARDWARE)
def test_filled_channels_are_a_few_more_at_most_and_worth_it(rows: int, channels: int, hardware: Hardware) -> None:
    count = tiles.filled(channels, rows, hardware)
    lanes = (hardware.vector_bits or 0) // 32
    assert channels <= count <= channels + lanes
    if channels % lanes == 0:
        assert count == channels
    assert tiles.lanes_for(count, hardware) >= tiles.lanes_for(channels, hardware)


def test_filled_channels_of_known_kernels() -> None:
    """The groups of ShuffleNet: a CPU that runs wide vectors in halves fills narrower ones."""
    halves = Hardware(cores=2, vector_bits=512, fma_bits=256, vector_registers=32)
    whole = Hardware(cores=2, vector_bits=512, vector_registers=32)
    assert [tiles.filled(c, 28, halves) for c in (28, 34, 64)] == [32, 40, 64]
    assert [tiles.filled(c, 28, whole) for c in (28, 34, 64)] == [32, 48, 64]


@given(st.integers(1, 32), st.integers(1, 32))
def test_efficiency_is_a_share_that_grows_with_the_tile(rows: int, vectors: int) -> None:
    share = tiles.efficiency(rows, vectors)
    assert 0 < share <= 1
    assert tiles.efficiency(rows + 1, vectors) >= share and tiles.efficiency(rows, vectors + 1) >= share


@given(st.integers(1, 10_000), st.integers(1, 128))
def test_imbalance_is_one_where_the_work_divides(chunks: int, cores: int) -> None:
    found = tiles.imbalance(chunks, cores)
    assert found >= 1
    assert (found == 1) == (chunks % cores == 0)
    assert found * chunks >= cores * (1 - 1e-12) or chunks >= cores


@settings(max_examples=60)
@given(
    st.tuples(*[st.integers(1, 4), *[st.integers(1, 56)] * 2, st.integers(1, 256)]),
    st.sampled_from([(1, 1), (3, 3), (1, 7), (11, 11)]),
    st.integers(1, 256),
    st.integers(1, 2),
    st.booleans(),
    HARDWARE,
)
def test_chunks_divide_the_work(
    outputs: tuple[int, int, int, int], kernel: tuple[int, int], ci: int, stride: int, padded: bool, hardware: Hardware
) -> None:
    sizes = [*outputs, *kernel, ci]
    for tile in tiles.register_tiles(sizes[2], sizes[3], hardware)[:3]:
        rows, wide = conv2d.chunks(sizes, tile, padded, 4 * 64 * ci, stride, hardware)
        assert sizes[1] % rows == 0 and (sizes[3] // tile.channels) % wide == 0


@given(
    st.tuples(st.integers(1, 48), st.integers(1, 14), st.integers(1, 14)),
    st.sampled_from([3, 16, 64, 512]),
    st.sampled_from([16, 48, 512]),
    HARDWARE,
)
def test_blocks_of_winograd_divide_the_work(digits: tuple[int, int, int], ci: int, co: int, hardware: Hardware) -> None:
    layer = Layer(6, digits, ci, co)
    for tile in tiles.register_tiles(layer.count, co, hardware)[:3]:
        offered = chunks(layer, tile, hardware)
        assert len({block for block, _ in offered}) == len(offered)
        for block, wide in offered:
            assert layer.count % (block * tile.rows) == 0 and (co // tile.channels) % wide == 0
            assert block == 1 or nests(block * tile.rows, digits)


@given(st.tuples(*[st.integers(1, 12)] * 3), st.integers(1, 200))
def test_a_cut_nests_where_no_piece_is_part_of_two_rows_or_pictures(digits: tuple[int, int, int], every: int) -> None:
    images, rows, columns = digits
    count = images * rows * columns
    if count % every:
        return
    pieces = [range(start, start + every) for start in range(0, count, every)]
    for unit in (columns, rows * columns):
        straddles = any(len({t // unit for t in p}) > 1 and (p[0] % unit or every % unit) for p in pieces)
        assert not (nests(every, digits) and straddles)
