"""The kernels of `peak`, in TVMScript. Imports TVM.

TVMScript reads the annotations of its functions itself, so this file does not postpone their evaluation.
"""

from typing import Any

from tvm.script import tirx as T  # noqa: N812  (TVMScript's own convention)


def multiply_adds(threads: int, lanes: int, chains: int, steps: int) -> Any:
    """`steps` times acc = acc * x + y on `chains` vectors of `lanes` floats, on each of `threads` threads."""

    @T.prim_func
    def kernel(factors: T.handle, sums: T.handle) -> None:
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        xy = T.match_buffer(factors, (2 * lanes,), "float32")
        out = T.match_buffer(sums, (threads * chains * lanes,), "float32")
        for thread in T.parallel(threads):
            acc = T.alloc_buffer((chains * lanes,), "float32", scope="local")
            for chain in T.unroll(chains):
                for lane in T.vectorized(lanes):
                    acc[chain * lanes + lane] = T.float32(0)
            for _ in range(steps):
                for chain in T.unroll(chains):
                    for lane in T.vectorized(lanes):
                        acc[chain * lanes + lane] = acc[chain * lanes + lane] * xy[lane] + xy[lanes + lane]
            for chain in T.unroll(chains):
                for lane in T.vectorized(lanes):
                    out[(thread * chains + chain) * lanes + lane] = acc[chain * lanes + lane]

    return kernel


def reads(threads: int, lanes: int, streams: int, steps: int) -> Any:
    """The sum of a buffer: on each of `threads` threads, `streams` regions at once of `steps` * 2 * `lanes` floats.

    One core alone gets more out of the memory with several streams than with one.
    """

    @T.prim_func
    def kernel(data: T.handle, sums: T.handle) -> None:
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        regions = T.match_buffer(data, (threads * streams * steps * 2 * lanes,), "float32")
        out = T.match_buffer(sums, (threads * streams * 2 * lanes,), "float32")
        for thread in T.parallel(threads):
            acc = T.alloc_buffer((streams * 2 * lanes,), "float32", scope="local")
            for vector in T.unroll(streams * 2):
                for lane in T.vectorized(lanes):
                    acc[vector * lanes + lane] = T.float32(0)
            for step in range(steps):
                for stream in T.unroll(streams):
                    for half in T.unroll(2):
                        for lane in T.vectorized(lanes):
                            acc[(stream * 2 + half) * lanes + lane] = (
                                acc[(stream * 2 + half) * lanes + lane]
                                + regions[(((thread * streams + stream) * steps + step) * 2 + half) * lanes + lane]
                            )
            for vector in T.unroll(streams * 2):
                for lane in T.vectorized(lanes):
                    out[(thread * streams * 2 + vector) * lanes + lane] = acc[vector * lanes + lane]

    return kernel


def filled(threads: int, floats: int) -> Any:
    """A buffer of `threads` * `floats` floats becomes ones, each thread's part written by that thread."""

    @T.prim_func
    def kernel(data: T.handle) -> None:
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        buffer = T.match_buffer(data, (threads * floats,), "float32")
        for thread in T.parallel(threads):
            for index in range(floats):
                buffer[thread * floats + index] = T.float32(1)

    return kernel
