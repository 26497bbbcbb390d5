"""Operations that no NNEF text can name: what passes insert, and steps that quantisation is made of."""

from __future__ import annotations

from nnef_cl.ir import quant
from nnef_cl.ops import lowering
from nnef_cl.ops.base import op
from nnef_cl.ops.shapes import element_flops, pointwise

TINY = "{x} < ({T})(0x1p-100f)"


def logarithm(rounding: str) -> str:
    """C text of a rounded log2(x), read off the exponent of the float. rounding: added to its bits.

    Subnormal numbers are scaled first; zero, infinity, NaN and negative numbers give what log2 gives.
    """
    bits = f"as_{{I}}({{x}} * {{select}}(({{T}})(1.0f), ({{T}})(0x1p+32f), {TINY}))"
    value = f"convert_{{T}}(({bits} + {rounding}) >> 23) - {{select}}(({{T}})(127.0f), ({{T}})(159.0f), {TINY})"
    other = "{select}({select}({x}, ({T})(NAN), {x} < ({T})(0.0f)), ({T})(-INFINITY), {x} == ({T})(0.0f))"
    return f"{{select}}({other}, {value}, {{x}} > ({{T}})(0.0f) && {{x}} < ({{T}})(INFINITY))"


OPS = (
    op("fragment map( operand: tensor<> ) -> ( result: tensor<> );", lower=lowering.pointwise),
    op("fragment reorder<?>( input: tensor<?> ) -> ( output: tensor<?> );", lower=lowering.reorder),
    op("fragment by_rows( operands: tensor<>[] ) -> ( results: tensor<>[] );"),
    op("fragment ceil_log2( x: tensor<scalar> ) -> ( y: tensor<scalar> );", infer=pointwise,
       reference=quant.ceil_log2, expression=logarithm("0x7fffff"), flops=element_flops),
    # Mantissas from the square root of 2 on (0x3504f4) carry into the exponent.
    op("fragment round_log2( x: tensor<scalar> ) -> ( y: tensor<scalar> );", infer=pointwise,
       reference=quant.round_log2, expression=logarithm("0x4afb0c"), flops=element_flops),
    op("fragment power_of_two( x: tensor<scalar> ) -> ( y: tensor<scalar> );", infer=pointwise,
       reference=quant.power_of_two, flops=element_flops,
       expression="{select}(ldexp(({T})(1.0f), convert_{I}(fmax(fmin({x}, 200.0f), -200.0f))), {x}, {x} != {x})"),
)  # fmt: skip
