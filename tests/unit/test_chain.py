"""Chains: which steps are joined, and what each stage waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nnef_cl.codegen.kernels.chain import Chain, Stage
from nnef_cl.codegen.kernels.softmax import softmax
from nnef_cl.codegen.render import render_program
from nnef_cl.codegen.target import Target

from nnef_cl.plan.chain import MOST_STAGES, join_steps
from nnef_cl.plan.records import Buffer, Step

CPU = replace(Target.generic(4), forward_progress=True)
KERNEL = softmax((2,), (3,), (3,), (1,), CPU)


def place(number: int, size: int = 64) -> Buffer:
    """A part of the only arena."""
    return Buffer("arena", 0, number * 64, size)


def step(source: Buffer, result: Buffer) -> Step:
    return Step(KERNEL, (source, result), "y", "softmax", "rows")


def stages(*steps: Step) -> tuple[Stage, ...]:
    (launch,) = join_steps(steps, CPU).steps
    assert isinstance(launch.kernel, Chain)
    return launch.kernel.stages


def waits(*steps: Step) -> list[tuple[int, ...]]:
    return [stage.waits for stage in stages(*steps)]


def test_a_stage_waits_for_what_it_reads() -> None:
    assert waits(step(place(0), place(1)), step(place(1), place(2))) == [(), (0,)]


def test_branches_do_not_wait_for_each_other() -> None:
    assert waits(step(place(0), place(1)), step(place(0), place(2)), step(place(2), place(3))) == [(), (), (1,)]


def test_a_stage_waits_for_readers_of_what_it_overwrites() -> None:
    assert waits(step(place(0), place(1)), step(place(2), place(0))) == [(), (0,)]
    assert waits(step(place(0), place(1)), step(place(2), place(1))) == [(), (0,)]


def test_nobody_waits_twice() -> None:
    one, two, three = step(place(0), place(1)), step(place(1), place(2)), step(place(2), place(3))
    assert waits(one, two, three, step(place(4), place(1))) == [(), (0,), (1,), ()]
    assert waits(one, two, three, step(place(3), place(1))) == [(), (0,), (1,), (2,)]


def test_parts_overlap() -> None:
    whole = Buffer("weight", 0)
    assert waits(step(place(0), place(1, 128)), step(place(2), place(3))) == [(), (0,)]
    assert waits(step(whole, place(1)), step(whole, place(2))) == [(), ()]
    assert waits(step(place(0), Buffer("arena", 1)), step(Buffer("arena", 1, 64, 64), place(1))) == [(), (0,)]


def test_arguments_are_whole_buffers_and_offsets() -> None:
    weight = Buffer("weight", 3)
    first, second = stages(step(weight, place(1)), step(place(1), place(5)))
    assert (first.arguments, second.arguments) == (((0, 0), (1, 64)), ((1, 64), (1, 320)))
    (launch,) = join_steps([step(weight, place(1)), step(place(1), place(5))], CPU).steps
    assert launch.arguments == (weight, Buffer("arena", 0), Buffer("counter", 0))


@pytest.mark.parametrize("count", [2, MOST_STAGES, MOST_STAGES + 1, 3 * MOST_STAGES - 1])
def test_long_chains_are_cut_into_equal_parts(count: int) -> None:
    joined = join_steps([step(place(n), place(n + 1)) for n in range(count)], CPU)
    sizes = [len(one.kernel.stages) for one in joined.steps if isinstance(one.kernel, Chain)]
    assert sum(sizes) == count and len(sizes) == len(joined.counters) == -(-count // MOST_STAGES)
    assert max(sizes) - min(sizes) <= 1


def test_the_device_limits_the_arguments() -> None:
    few = replace(CPU, max_argument_bytes=8 * 5)
    steps = [step(Buffer("weight", n), place(n)) for n in range(8)]
    for launch in join_steps(steps, few).steps:
        assert isinstance(launch.kernel, Chain) and len(launch.arguments) <= 5


def test_other_devices_launch_every_step() -> None:
    steps = (step(place(0), place(1)), step(place(1), place(2)))
    assert join_steps(steps, Target.generic(4)).steps == steps
    assert join_steps(steps[:1], CPU).steps == steps[:1]


def test_two_chains_share_a_program() -> None:
    """Stages and helpers are spelled once."""
    chains = [Chain((Stage(KERNEL, ((0, 0), (1, 0)), ()),) * count, 2, 2) for count in (2, 3)]
    text = render_program(chains)
    assert text.count(f"void {KERNEL.stage_name}(") == 1 and text.count("int chain_take(") == 1
    assert text.count("__kernel") == 2
