"""One convolution with constant weights -> a launch of the kernel that suits its groups."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.kernel import Candidate, Input, Launch, Operand, Output, Pack, Packed, Sizes, Space
from nnef_cl.codegen.kernels.conv_depthwise import ConvDepthwise, PackLanes, conv_depthwise
from nnef_cl.codegen.kernels.conv_direct import ConvDirect, PackBands, PackBias, PackFilter, conv_direct
from nnef_cl.codegen.kernels.conv_few import PackFew, conv_few, few_tiles
from nnef_cl.codegen.kernels.conv_rows import PackRows, conv_rows
from nnef_cl.codegen.kernels.conv_window_rows import PackTaps, conv_window_rows
from nnef_cl.codegen.kernels.window import Geometry
from nnef_cl.codegen.target import Target
from nnef_cl.ops.base import Problem

Packing = PackFilter | PackBands | PackLanes
Accesses = tuple[Access, Access, tuple[Access, ...]]
"""x, y and the epilogue's operands."""


def conv_candidate(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target, sizes: Sizes | None = None
) -> Candidate | None:
    """None where no kernel fits. sizes: of another point of the candidate's space."""
    launch = conv_launch(problem, accesses, geometry, groups, target, sizes=sizes)
    if launch is None:
        return None
    assert isinstance(launch.kernel, (ConvDirect, ConvDepthwise))
    make = partial(conv_candidate, problem, accesses, geometry, groups, target)
    return Candidate(launch.kernel.stem, (launch,), space=Space(launch.kernel.choices(target), make))


def few_candidate(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target, sizes: Sizes | None = None
) -> Candidate | None:
    """For few results of an input in channel blocks; None where it does not suit."""
    launch = few_launch(problem, accesses, geometry, groups, target, sizes=sizes)
    if launch is None:
        return None
    make = partial(few_candidate, problem, accesses, geometry, groups, target)
    return Candidate(launch.kernel.stem, (launch,), space=Space(tuple(few_tiles(accesses[1], target)), make))


def few_launch(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target,
    arrange: Callable[[PackFew], Pack] | None = None, sizes: Sizes | None = None,
) -> Launch | None:  # fmt: skip
    """As `conv_launch`, for few results of an input in channel blocks."""
    kernel = conv_few(*accesses, problem.epilogue, geometry, groups, target, sizes)
    if kernel is None:
        return None
    pack = PackFew(kernel.width)
    return Launch(kernel, _operands(problem, arrange(pack) if arrange else pack, PackBias(kernel.results, 1, 1)))


def rows_candidate(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target, sizes: Sizes | None = None
) -> Candidate | None:
    """For plain tensors and windows of single pixels; None where it does not suit."""
    kernel = conv_rows(*accesses, problem.epilogue, geometry, groups, target, sizes)
    if kernel is None:
        return None
    pack, bias = PackRows(groups, kernel.channels), PackBias(problem.outputs[0].shape[1], 1, 1)
    make = partial(rows_candidate, problem, accesses, geometry, groups, target)
    space = Space(kernel.choices(target), make)
    return Candidate(kernel.stem, (Launch(kernel, _operands(problem, pack, bias)),), space=space)


def window_rows_candidate(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target, sizes: Sizes | None = None
) -> Candidate | None:
    """For plain tensors with few channels in each group; None where it does not suit."""
    kernel = conv_window_rows(*accesses, problem.epilogue, geometry, groups, target, sizes)
    if kernel is None:
        return None
    bias = PackBias(problem.outputs[0].shape[1], 1, 1)
    make = partial(window_rows_candidate, problem, accesses, geometry, groups, target)
    space = Space(kernel.choices(target), make)
    return Candidate(kernel.stem, (Launch(kernel, _operands(problem, PackTaps(), bias)),), space=space)


def conv_launch(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target,
    arrange: Callable[[Packing], Pack] | None = None, sizes: Sizes | None = None,
) -> Launch | None:  # fmt: skip
    """None where no kernel fits. arrange: turns the kernel's packing into one for the filter as the model has it.
    sizes: what to choose instead of the kernel's best guess."""
    channels = problem.outputs[0].shape[1]
    depthwise = conv_depthwise(*accesses, problem.epilogue, geometry, groups, target, sizes)
    if depthwise is not None:
        pack: Packing = PackLanes(depthwise.width, depthwise.per_group, depthwise.axis == 1)
        bias = PackBias(channels, 1, depthwise.width)
        return Launch(depthwise, _operands(problem, arrange(pack) if arrange else pack, bias))
    direct = conv_direct(*accesses, problem.epilogue, geometry, groups, target, sizes)
    if direct is None:
        return None
    if direct.mixed:
        pack, groups = PackBands(direct.bands), 1
    else:
        pack = PackFilter(groups, direct.width, direct.blocks, direct.channels)
    bias = PackBias(channels, groups, direct.width * direct.blocks)
    return Launch(direct, _operands(problem, arrange(pack) if arrange else pack, bias))


def _operands(problem: Problem, filter: Pack, bias: Pack) -> tuple[Operand, ...]:
    return (Input(0), Packed(1, filter), Packed(2, bias), *extra_operands(problem), Output())


def extra_operands(problem: Problem) -> tuple[Operand, ...]:
    """What the epilogue's operands are bound to."""
    own = len(problem.inputs)
    return tuple(Input(own + k) for k in range(len(problem.epilogue.operands)))
