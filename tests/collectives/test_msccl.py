"""Algorithms in MSCCL's XML."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from collective_bench import Bench

from clustersim.collectives import Communicator, MscclProgram, read_algorithm
from clustersim.engine.world import World
from clustersim.errors import InputError

MIB = 2**20
Step = tuple[str, str, int, str, int]
"""Type, source buffer and offset, target buffer and offset."""
Block = tuple[int, int, list[Step]]
"""Peers to send to and to receive from, and steps."""


def program(
    collective: str,
    ranks: int,
    chunks: int,
    blocks: Callable[[int], Iterable[Block]],
    *,
    in_place: bool = True,
) -> str:
    """XML of an algorithm; a step may name in its type, after a comma, the tb and step it waits for."""
    lines = [
        f'<algo name="mine" proto="Simple" nchannels="1" nchunksperloop="{chunks}" ngpus="{ranks}"'
        f' coll="{collective}" inplace="{int(in_place)}">'
    ]
    for gpu in range(ranks):
        lines.append(f' <gpu id="{gpu}" i_chunks="{chunks}" o_chunks="{chunks}" s_chunks="{chunks}">')
        for number, (send, receive, steps) in enumerate(blocks(gpu)):
            lines.append(f'  <tb id="{number}" send="{send}" recv="{receive}" chan="0">')
            for index, (name, source, first, target, place) in enumerate(steps):
                kind, *waits = name.split(",")
                depends = waits or ["-1", "-1"]
                lines.append(
                    f'   <step s="{index}" type="{kind}" srcbuf="{source}" srcoff="{first}" dstbuf="{target}"'
                    f' dstoff="{place}" cnt="1" depid="{depends[0]}" deps="{depends[1]}" hasdep="0"/>'
                )
            lines.append("  </tb>")
        lines.append(" </gpu>")
    return "\n".join([*lines, "</algo>"])


def ring(ranks: int) -> str:
    """All-reduce in place: send, receive-reduce-send, …, receive-reduce-copy-send, receive-copy-send, …"""

    def blocks(gpu: int) -> list[Block]:
        chunks = [(gpu - step - 1) % ranks for step in range(2 * ranks - 1)]
        names = ["s", *["rrs"] * (ranks - 2), "rrcs", *["rcs"] * (ranks - 2), "r"]
        steps = [(name, "i", chunk, "i", chunk) for name, chunk in zip(names, chunks, strict=True)]
        return [((gpu + 1) % ranks, (gpu - 1) % ranks, steps)]

    return program("allreduce", ranks, ranks, blocks)


def all_pairs(ranks: int) -> str:
    """All-reduce by one block per peer: parts into scratch, added up by the first, results to all."""

    def blocks(gpu: int) -> Iterable[Block]:
        peers = [peer for peer in range(ranks) if peer != gpu]
        last_sum = 2 + (len(peers) - 1) + len(peers) - 1
        for number, peer in enumerate(peers):
            steps: list[Step] = [("s", "i", peer, "s", gpu), ("r", "i", gpu, "s", peer)]
            if number == 0:
                steps += [(f"nop,{other},1", "i", 0, "i", 0) for other in range(1, len(peers))]
                steps += [("re", "s", other, "i", gpu) for other in peers]
            waits = "" if number == 0 else f",0,{last_sum}"
            steps += [(f"s{waits}", "i", gpu, "i", gpu), ("r", "i", peer, "i", peer)]
            yield peer, peer, steps

    return program("allreduce", ranks, ranks, blocks)


def all_gather(ranks: int) -> str:
    def blocks(gpu: int) -> list[Block]:
        chunks = [(gpu - step) % ranks for step in range(ranks)]
        steps = [("s" if step == 0 else "rcs", "o", chunk, "o", chunk) for step, chunk in enumerate(chunks)]
        steps[-1] = ("r", "o", chunks[-1], "o", chunks[-1])
        return [((gpu + 1) % ranks, (gpu - 1) % ranks, steps)]

    return program("allgather", ranks, ranks, blocks)


def all_to_all(ranks: int) -> str:
    def blocks(gpu: int) -> Iterable[Block]:
        yield -1, -1, [("cpy", "i", gpu, "o", gpu)]
        for peer in range(ranks):
            if peer != gpu:
                yield peer, peer, [("s", "i", peer, "o", gpu), ("r", "i", gpu, "o", peer)]

    return program("alltoall", ranks, ranks, blocks, in_place=False)


def reduce_scatter(ranks: int) -> str:
    def blocks(gpu: int) -> list[Block]:
        chunks = [(gpu - step - 1) % ranks for step in range(ranks)]
        names = ["s", *["rrs"] * (ranks - 2), "rrc"]
        steps: list[Step] = [
            (name, "i", chunk, "i", chunk) for name, chunk in zip(names, chunks, strict=True)
        ]
        steps[-1] = ("rrc", "i", gpu, "o", 0)
        return [((gpu + 1) % ranks, (gpu - 1) % ranks, steps)]

    return program("reduce_scatter", ranks, ranks, blocks, in_place=False)


def saved(folder: Path, text: str) -> Path:
    path = folder / "mine.xml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("make", "kind", "twin"), [
    (ring, "all_reduce", "ring"),
    (all_gather, "all_gather", "ring"),
    (reduce_scatter, "reduce_scatter", "ring"),
])  # fmt: skip
@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_a_ring_in_xml_is_the_macro_flow_of_the_ring(
    bench: Bench, tmp_path: Path, make: Callable[[int], str], kind: str, twin: str, ranks: int
) -> None:
    topology = bench.topology("dgx-a100")
    gpus = topology.gpus[:ranks]
    mine, built_in = (
        Communicator(World(topology), gpus, owner="test", algorithm=one)
        for one in (read_algorithm(saved(tmp_path, make(ranks))), twin)
    )
    assert len(mine.candidates(kind)[0].phases) == 1
    assert mine.alone_s(kind, MIB) == pytest.approx(built_in.alone_s(kind, MIB), rel=1e-12)
    assert mine.algorithm_of(kind, MIB).startswith("mine/")


@pytest.mark.parametrize(("make", "kind", "rounds", "sent"), [
    (all_pairs, "all_reduce", 2, 2 * 3 / 4),
    (all_to_all, "all_to_all", 1, 3 / 4),
    (ring, "all_reduce", 6, 2 * 3 / 4),
])  # fmt: skip
@pytest.mark.parametrize("fidelity", ["macro", "stepwise"])
def test_a_program_s_messages_move_its_bytes_in_its_rounds(
    bench: Bench,
    tmp_path: Path,
    make: Callable[[int], str],
    kind: str,
    rounds: int,
    sent: float,
    fidelity: str,
) -> None:
    topology = bench.topology("dgx-a100")
    world = World(topology)
    algorithm = read_algorithm(saved(tmp_path, make(4)))
    mine = Communicator(world, topology.gpus[:4], owner="test", algorithm=algorithm, fidelity=fidelity)
    world.env.run(until=getattr(mine, kind)(4 * MIB))
    phases = mine.candidates(kind)[0].plan.phases
    assert sum(phase.messages[0] for phase in phases) == rounds
    port = topology.link_index("node0/gpu0>node0/nvswitch")
    assert world.fabric.usage().bytes[port] == pytest.approx(sent * 4 * MIB)


@pytest.mark.parametrize(("text", "changed", "message"), [
    ("<algo", "<algorithm", "begins with <algorithm>|is no XML"),
    ('coll="allreduce"', 'coll="allreduces"', "unknown collective.*Did you mean 'allreduce'"),
    ('ngpus="4"', 'ngpus="two"', "ngpus is 'two'; expected a whole number from 2"),
    ('type="rrs"', 'type="rrrs"', "gpu 0, tb 0, step 1: type 'rrrs' is not one of s, r, rcs"),
    ('<gpu id="3"', '<gpu id="4"', "<gpu id='4'> is beyond ngpus='4'"),
    ('send="1" recv="3"', 'send="-1" recv="3"', "gpu 0, tb 0, step 0: type 's' needs a peer"),
    ('s="5" type="rcs"', 's="6" type="rcs"', "stands in place 5"),
    ('type="rrcs" srcbuf="i"', 'type="rcs" srcbuf="i"', "mine: all_reduce: gpu 0 ends with chunk"),
    ('type="rrs" srcbuf="i"', 'type="rrs" srcbuf="s"', "reads chunk 's' 2, which holds nothing yet"),
    ('"rrs" srcbuf="i" srcoff="2"', '"rrs" srcbuf="i" srcoff="1"', "adds chunk 2 of rank 3 to chunk 1"),
    ('depid="-1" deps="-1"', 'depid="0" deps="3"', "waits for ever"),
])  # fmt: skip
def test_a_program_that_cannot_work_is_refused_with_its_step(
    tmp_path: Path, text: str, changed: str, message: str
) -> None:
    original = ring(4)
    assert text in original
    with pytest.raises(InputError, match=message):
        read_algorithm(saved(tmp_path, original.replace(text, changed, 1)))


def test_a_message_that_nobody_receives_is_refused(tmp_path: Path) -> None:
    lost = all_to_all(2).replace('type="r"', 'type="nop"')
    with pytest.raises(InputError, match="gpu 0 sends more to gpu 1 on channel 0 than that receives"):
        read_algorithm(saved(tmp_path, lost))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.xml: cannot be read"):
        MscclProgram.read(tmp_path / "none.xml")
