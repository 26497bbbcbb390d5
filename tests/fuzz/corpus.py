"""Valid models to start from: one per conformance case, the language in full, tensor files, quantisation, archives."""

from __future__ import annotations

import functools
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from nnef_cl.conformance.case import all_cases
from nnef_cl.conformance.harness import family_text
from nnef_cl.demo import model_folder
from nnef_cl.format.parser import parse_document
from nnef_cl.format.syntax import Document
from nnef_cl.format.tensor_file import write_tensor

HEAD = "version 1.0;\nextension KHR_enable_fragment_definitions;\nextension KHR_enable_operator_expressions;\n"
SHAPE = "x = external(shape = [1, 4, 6, 6]);"
LANGUAGE = (
    # generic fragments, defaults, several results
    """fragment twice<? = scalar>( x: tensor<?> ) -> ( y: tensor<?>, z: tensor<?> ) { y = copy(x); z = copy(x); }
    fragment block( x: tensor<scalar>, groups: integer = 1, act: string = 'relu' ) -> ( y: tensor<scalar> )
    {
        a, b = twice(x);
        c = a + b * 0.5 - -x;
        y = relu(c) if act == 'relu' else sigmoid(c);
    }
    graph g( x ) -> ( y, z ) { %s y = block(x, act = 'sigmoid'); z = block(y); }""",
    # comprehension, ranges, subscripts, builtins
    """fragment parts( x: tensor<scalar>, ratios: integer[] ) -> ( ys: tensor<scalar>[] )
    { ys = [for y in split(x, axis = 1, ratios = ratios) yield y ^ 2.0 + 1.0]; }
    fragment f( x: tensor<scalar>, sizes: integer[] = [1, 3] ) -> ( y: tensor<scalar> )
    {
        ys = parts(x, sizes);
        n = [for i in range_of(sizes), s in sizes if s > 0 && !(i == 5) yield i * s];
        y = concat([for k in n[0:2] yield ys[0]] + ys[1:], axis = 1) * scalar(length_of(n));
    }
    graph g( x ) -> ( y ) { %s y = f(x); }""",
    # conditionals, tuples, nested arrays, recursion that ends
    """fragment pyramid( x: tensor<scalar>, depth: integer ) -> ( y: tensor<scalar> )
    { y = pyramid(max_pool(x, size = [1, 1, 2, 2], padding = [(0, 0), (0, 0), (0, 1), (0, 1)]), depth - 1) if depth > 0 else x; }
    fragment pick( x: tensor<scalar>, pairs: (integer, integer)[] = [(0, 1), (1, 0)] ) -> ( y: tensor<scalar> )
    { y = pad(x, padding = [pairs[0], pairs[1]] + [for p in pairs yield p]); }
    graph g( x ) -> ( y ) { %s y = pick(pyramid(x, 2)); }""",
    # operators of every precedence on tensors and numbers
    """graph g( x ) -> ( y, z )
    { %s m = x > 0.0 && x <= 1.0 || !(x == 0.5); y = select(m, x * 2.0 ^ x, -x / (x + 1.0)); z = -x if 2 in [1, 2] else x; }""",
    # values known at compile time: arithmetic, strings, sequences, comparisons, casts, ranges
    """fragment padded( x: tensor<scalar>, n: integer, names: string[] = ['a', 'b'] ) -> ( y: tensor<scalar> )
    {
        one = integer('1') * (7 / 2 - n ^ 2 + -1) if logical(n) || n != 3 else integer(2.75);
        last = names[length_of(names) - 1] + string(n)[0:1];
        none = [0] * (n + 1);
        y = pad(x, padding = [(none[0], 0), (0, one - one)] + [for k in range_of(none), z in none if last >= 'b' yield (z, 1)]);
    }
    fragment scaled( x: tensor<scalar>, a: scalar = 2.0 ) -> ( y: tensor<scalar> )
    { y = x * (scalar(a > 1.0 && !(a / 3.0 < 0.5)) if [1, 2] in [[1, 2]] else a ^ 0.5) + scalar('1.5e0') * a - scalar([a, 1.0][1:][0] in [0.0]); }
    graph g( x ) -> ( y ) { %s y = padded(scaled(x), 1); }""",
    # several results, arrays of results, statistics
    """graph g( x ) -> ( m, v, a, b, d )
    { %s (m, v) = moments(x, axes = [0, 2, 3]); [a, b] = split(x, axis = 1, ratios = [1, 3]); [c, d] = copy_n(x, times = 2); }""",
)
QUANT = (
    '"image": min_max_linear_quantize(min = -1.5, max = 2.0, bits = 8, signed = true, symmetric = false);\n',
    '"filter1": zero_point_linear_quantize(zero_point = [[0, 1, 2, 3]], scale = [[0.5, 0.25, 1.0, 2e-3]], bits = 8, signed = true, symmetric = false);\n',
    '"x": linear_quantize(min = 0.0, max = 1.0, bits = 4);\n"y": logarithmic_quantize(max = 8.0, bits = 5);\n# end\n',
)


@functools.cache
def documents() -> tuple[Document, ...]:
    """Syntax of valid models, small ones."""
    texts = [HEAD + text % SHAPE for text in LANGUAGE]
    texts += [family_text([case])[0] for case in all_cases() if sum(a.size for a in case.arrays) < 10_000]
    return tuple(map(parse_document, texts))


@functools.cache
def tensor_files() -> tuple[bytes, ...]:
    """Every kind of item, whole bytes and others, ranks 0 to 8."""
    random = np.random.default_rng(0)
    shapes = [(), (3,), (2, 5), (1, 4, 6, 6), (1, 2, 1, 2, 1, 3, 1, 2)]
    files: list[bytes] = []
    for shape in shapes:
        whole = random.integers(-4, 4, shape)
        kinds = [(random.standard_normal(shape), bits, None) for bits in (16, 32, 64)]
        kinds += [(whole, bits, code) for bits in (3, 4, 8, 16, 32, 64) for code in (3, 4)]
        kinds += [(np.abs(whole), bits, code) for bits in (3, 8, 17, 64) for code in (1, 2)]
        kinds += [(whole > 0, bits, None) for bits in (1, 8)]
        for array, bits, code in kinds:
            file = io.BytesIO()
            write_tensor(file, np.asarray(array), bits, code)
            files.append(file.getvalue())
    return tuple(files)


@functools.cache
def model_files() -> Mapping[str, bytes]:
    """The packaged network, with a quantisation file."""
    folder = Path(model_folder())
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    return files | {"graph.quant": b"# none\n"}


def packed(files: Iterable[tuple[str, bytes]], format: int = tarfile.GNU_FORMAT) -> bytes:
    """A plain tar of names and contents."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()
