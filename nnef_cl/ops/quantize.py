"""The quantisation operations (section 4.9.5): values rounded to those that codes of some bits can stand for."""

from __future__ import annotations

from typing import Any

from nnef_cl.ir import quant
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.program import Program, ProgramBuilder
from nnef_cl.ops.base import op
from nnef_cl.ops.shapes import element_flops, pointwise, require


def quantized(**arguments: Any) -> Shape:
    """The operands broadcast; a number of bits that leaves two values at least. Raises RuleError."""
    bits = arguments["bits"]
    require(1 <= bits <= quant.MAX_BITS, f"'bits' must be 1 to {quant.MAX_BITS}, got {bits}")
    return pointwise(**arguments)


def min_max_quantized(**arguments: Any) -> Shape:
    shape = quantized(**arguments)
    steps = quant.min_max_steps(*(arguments[name] for name in ("bits", "signed", "symmetric")))
    require(steps > 0, "signed and symmetric values of 1 bit have no range, the result would be NaN")
    return shape


def min_max_program(bits: int, signed: bool, symmetric: bool) -> Program:
    program = ProgramBuilder(3)
    x, low, high = range(3)
    steps = program.literal(quant.min_max_steps(bits, signed, symmetric))
    span = program.add("sub", high, low)
    offset = program.add("sub", program.add("clamp", x, low, high), low)
    index = program.add("round", program.add("mul", program.add("div", offset, span), steps))
    program.add("add", program.add("mul", program.add("div", index, steps), span), low)
    return program.build()


def zero_point_program(bits: int, signed: bool, symmetric: bool) -> Program:
    program = ProgramBuilder(3)
    x, zero_point, scale = range(3)
    least, greatest = map(program.literal, quant.zero_point_range(bits, signed, symmetric))
    code = program.add("add", program.add("round", program.add("div", x, scale)), zero_point)
    program.add("mul", program.add("sub", program.add("clamp", code, least, greatest), zero_point), scale)
    return program.build()


def logarithmic_program(bits: int) -> Program:
    program = ProgramBuilder(2)
    x, limit = range(2)
    top = program.add("ceil_log2", limit)
    bottom = program.add("sub", top, program.literal(2**bits - 1))
    exponent = program.add("clamp", program.add("round_log2", program.add("abs", x)), bottom, top)
    program.add("mul", program.add("sign", x), program.add("power_of_two", exponent))
    return program.build()


OPS = (
    op("""fragment min_max_linear_quantize( x: tensor<scalar>, min: tensor<scalar>, max: tensor<scalar>, bits: integer,
          signed: logical, symmetric: logical ) -> ( y: tensor<scalar> )
          {
              r = scalar(2 ^ bits - 1 - integer(signed && symmetric));
              z = clamp(x, min, max);
              p = scalar(2 ^ (bits - 1) - integer(symmetric) if signed else 0);
              q = round((z - min) / (max - min) * r) - p;
              y = (q + p) / r * (max - min) + min;
          }""",
       infer=min_max_quantized, reference=quant.min_max_linear_quantize, program=min_max_program, flops=element_flops),
    op("""fragment zero_point_linear_quantize( x: tensor<scalar>, zero_point: tensor<integer>, scale: tensor<scalar>,
          bits: integer, signed: logical, symmetric: logical ) -> ( y: tensor<scalar> )
          {
              z = cast<scalar>(zero_point);
              s = round(x / scale) + z;
              r = scalar(2 ^ (bits - 1) - 1 if signed else 2 ^ bits - 1);
              q = clamp(s, 0.0 if !signed else -r if symmetric else -r - 1.0, r);
              y = (q - z) * scale;
          }""",
       infer=quantized, reference=quant.zero_point_linear_quantize, program=zero_point_program, flops=element_flops),
    op("""fragment linear_quantize( x: tensor<scalar>, min: tensor<scalar>, max: tensor<scalar>, bits: integer )
          -> ( y: tensor<scalar> )
          {
              y = min_max_linear_quantize(x, min, max, bits = bits, signed = false, symmetric = false);
          }"""),
    op("""fragment logarithmic_quantize( x: tensor<scalar>, max: tensor<scalar>, bits: integer )
          -> ( y: tensor<scalar> )
          {
              m = ceil(log2(max));
              r = scalar(2 ^ bits - 1);
              q = round(clamp(log2(abs(x)), m - r, m));
              y = sign(x) * 2.0 ^ q;
          }""",
       infer=quantized, reference=quant.logarithmic_quantize, program=logarithmic_program, flops=element_flops),
)  # fmt: skip
