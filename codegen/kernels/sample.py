"""Index-based sampling: where in each window the maximum lies, and the elements that such indices pick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernels.window import Geometry, WindowKernel
from nnef_cl.codegen.target import Target


@dataclass(frozen=True)
class ArgmaxPool(WindowKernel):
    """y: the place of each window's first maximum in the window, integers. values: the maxima, if wanted."""

    stem: ClassVar[str] = "argmax_pool"
    values: Access | None

    @property
    def workspaces(self) -> int:
        return int(self.values is not None)

    @property
    def title(self) -> str:
        return f"{'values and ' if self.values else ''}indices of {self.windows}"

    @property
    def arguments(self) -> str:
        results = [self.values, self.y] if self.values else [self.y]
        return ", ".join([self.x.argument, *(result.result_argument for result in results)])

    @property
    def element(self) -> str:
        """C text: what the tap sees."""
        value = self.x.load(self.index)
        return f"{self.inside} ? {value} : 0.0f" if self.inside and self.geometry.border == "constant" else value

    @property
    def condition(self) -> str:
        """C text: the tap takes part; empty where every tap does."""
        return self.inside if self.geometry.border == "ignore" else ""

    @property
    def stores(self) -> list[str]:
        at = self.y.at(self.axes)
        values = [f"{self.values.name}[{at}] = largest;"] if self.values else []
        return [*values, f"{self.y.name}[{at}] = max(place, 0L);"]


@dataclass(frozen=True)
class Sample(WindowKernel):
    """y: of each window the element that `places` says; places outside the window are moved into it."""

    stem: ClassVar[str] = "sample"
    places: Access

    @property
    def title(self) -> str:
        return self.windows

    @property
    def arguments(self) -> str:
        return f"{self.x.argument}, {self.places.argument}, {self.y.result_argument}"

    @property
    def coordinates(self) -> list[str]:
        """C statements that split `place` into the tap's indices k<axis>."""
        lines = []
        for axis in reversed(self.windowed):
            size = self.geometry.size[axis]
            lines.append(f"const int k{axis} = place % {size}; place /= {size};")
        return lines

    @property
    def element(self) -> str:
        value = self.x.load(self.index)
        return f"{self.inside} ? {value} : 0.0f" if self.inside else value


def argmax_pool(x: Access, y: Access, values: Access | None, geometry: Geometry, target: Target) -> ArgmaxPool:
    return ArgmaxPool(x, y, geometry, Grid.of(y.spec.volume, target, 1, geometry.taps), values)


def sample(x: Access, places: Access, y: Access, geometry: Geometry, target: Target) -> Sample:
    return Sample(x, y, geometry, Grid.of(y.spec.volume, target), places)
