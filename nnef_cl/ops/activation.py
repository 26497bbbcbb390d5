"""Activation functions (section 4.9.1); a NaN passes through all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnef_cl.ir.layout import Shape
from nnef_cl.ops import lowering
from nnef_cl.ops.base import Op, op
from nnef_cl.ops.pointwise import align
from nnef_cl.ops.shapes import check_axes, element_flops, pointwise


def activation(name: str, expression: str, function: Callable[..., Any], attributes: str = "") -> Op:
    """function: of a float64 array and the attributes."""

    def reference(x: np.ndarray, **attrs: float) -> np.ndarray:
        return np.asarray(function(x.astype(np.float64), **attrs), np.float32)

    declaration = f"fragment {name}( x: tensor<scalar>{attributes} ) -> ( y: tensor<scalar> );"
    return op(declaration, infer=pointwise, reference=reference, expression=expression, flops=element_flops)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def elu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x < 0, alpha * np.expm1(x), x)


def selu(x: np.ndarray, **attrs: float) -> np.ndarray:
    """`lambda` is a Python keyword: the attributes come as a mapping."""
    return attrs["lambda"] * elu(x, attrs["alpha"])


def softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def prelu(x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    x, alpha = align(x, alpha)
    return np.where(x < 0, alpha * x, x)


def softmax_shape(x: Shape, axes: tuple[int, ...]) -> Shape:
    check_axes(axes, len(x))
    return x


def softmax(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    values = x.astype(np.float64)
    values = np.exp(values - values.max(axis=tuple(axes), keepdims=True))
    return np.asarray(values / values.sum(axis=tuple(axes), keepdims=True), np.float32)


ZERO, ONE = "({T})(0.0f)", "({T})(1.0f)"

OPS = (
    activation("sigmoid", f"{ONE} / ({ONE} + exp(-{{x}}))", sigmoid),
    activation("relu", f"{{select}}({{x}}, {ZERO}, {{x}} < {ZERO})", lambda x: np.where(x < 0, 0.0, x)),
    activation("leaky_relu", f"{{select}}({{x}}, ({{T}})({{alpha}}) * {{x}}, {{x}} < {ZERO})",
               lambda x, alpha: np.where(x < 0, alpha * x, x), ", alpha: scalar"),
    op("fragment prelu( x: tensor<scalar>, alpha: tensor<scalar> ) -> ( y: tensor<scalar> );", infer=pointwise,
       reference=prelu, expression=f"{{select}}({{x}}, {{alpha}} * {{x}}, {{x}} < {ZERO})", flops=element_flops),
    activation("elu", f"{{select}}({{x}}, ({{T}})({{alpha}}) * expm1({{x}}), {{x}} < {ZERO})", elu,
               ", alpha: scalar = 1.0"),
    activation("selu", f"({{T}})({{lambda}}) * {{select}}({{x}}, ({{T}})({{alpha}}) * expm1({{x}}), {{x}} < {ZERO})",
               selu, ", alpha: scalar = 1.67326319, lambda: scalar = 1.05070102"),
    activation("gelu", f"{{x}} / ({ONE} + exp(({{T}})(-1.702f) * {{x}}))", lambda x: x * sigmoid(1.702 * x)),
    activation("silu", f"{{x}} / ({ONE} + exp(-{{x}}))", lambda x: x * sigmoid(x)),
    activation("softplus", f"{{select}}({ZERO}, {{x}}, {{x}} > {ZERO} || {{x}} != {{x}}) + log1p(exp(-fabs({{x}})))",
               softplus),
    op("fragment softmax( x: tensor<scalar>, axes: integer[] = [1] ) -> ( y: tensor<scalar> );",
       about="exp(x) divided by its sum over all the axes together.",
       infer=softmax_shape, reference=softmax, lower=lowering.softmax, flops=element_flops),
)  # fmt: skip
