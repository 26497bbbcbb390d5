"""Import a document or a model: Document and operation table -> typed, shaped, immutable Graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from nnef_cl.errors import InputError, ModelError, UnsupportedError
from nnef_cl.format.container import GRAPH, open_container
from nnef_cl.format.parser import parse_document
from nnef_cl.format.quant_file import parse_quant
from nnef_cl.format.syntax import Document, Fragment, Identifier, QuantEntry
from nnef_cl.format.tensor_file import read_tensor_file
from nnef_cl.importer.arguments import check_fragment, suggestion
from nnef_cl.importer.dialect import LENIENT, STRICT, Dialect
from nnef_cl.importer.expand import Expander, Scope
from nnef_cl.importer.introduce import Introducer, TensorSource
from nnef_cl.importer.types import Budget, Caster, clip
from nnef_cl.ir.graph import Graph, GraphBuilder
from nnef_cl.ir.verify import verify
from nnef_cl.ops import MISSING, STANDARD
from nnef_cl.ops.base import Table

__all__ = ["LENIENT", "STRICT", "Dialect", "TensorSource", "import_document", "import_model"]

QUANT = "graph.quant"


def import_model(
    path: str | Path, *, shapes: Mapping[str, tuple[int, ...]] | None = None, table: Table = STANDARD,
    dialect: Dialect = LENIENT,
) -> Graph:  # fmt: skip
    """The graph of a folder, an archive or a graph.nnef. Variables are memory-mapped where the file allows it.

    shapes: other extents for inputs. Raises ModelError (of which FileFormatError, UnsupportedError, ...), InputError.
    """
    with open_container(path) as container:
        text = container.read_text(GRAPH)
        assert text is not None
        document = parse_document(text, GRAPH)
        quant = container.read_text(QUANT)
        entries = parse_quant(quant, QUANT) if quant is not None else ()
        return import_document(
            document, table, lambda label, _: read_tensor_file(container.open_tensor(label), f"{label}.dat"),
            shapes=shapes, dialect=dialect, quant=entries,
        )  # fmt: skip


def import_document(
    document: Document, table: Table, tensors: TensorSource, *, shapes: Mapping[str, tuple[int, ...]] | None = None,
    dialect: Dialect = LENIENT, quant: Iterable[QuantEntry] = (),
) -> Graph:  # fmt: skip
    """The graph of a parsed document: types and shapes checked, fragments expanded, names of the file kept.

    tensors(label, position): a variable's array or TensorFile. shapes: other extents for inputs. Raises ModelError
    with the place in the file, UnsupportedError for what is not there yet, InputError for `shapes` that do not fit.
    """
    for entry in quant:
        message = "quantisation is not supported yet, and the model's meaning depends on it"
        raise UnsupportedError(message, where=entry.position, op=clip(entry.operation), tensor=clip(entry.tensor))
    definition = document.graph
    builder = GraphBuilder(definition.name)
    parameters = [parameter.name for parameter in definition.parameters]
    _check_unique(definition.parameters, "graph parameter")
    _check_unique(definition.results, "graph result")
    _check_shapes(shapes or {}, parameters)
    notices: set[str] = set()

    def notice(key: str, message: str) -> None:
        if key not in notices:
            notices.add(key)
            builder.warnings.append(message)

    budget = Budget()
    introducer = Introducer(builder, parameters, tensors, shapes or {})
    caster = Caster(dialect, introducer.literal, notice, budget)
    fragments = _fragments(document, table, caster)
    expander = Expander(builder, table, fragments, dialect, introducer, caster, budget)
    expander.operators_declared = _extensions(document, caster)
    scope = Scope({}, definition.body, frozenset(parameters))
    for statement in definition.body:
        expander.assign(statement, scope)
    for parameter in definition.parameters:
        if parameter.name not in introducer.externals:
            message = f"graph parameter '{clip(parameter.name)}' is defined by no external"
            raise ModelError(message, where=parameter.position)
    builder.inputs = parameters
    for result in definition.results:
        if result.name not in scope.values:
            message = f"graph result '{clip(result.name)}' is never assigned"
            raise ModelError(message + suggestion(result.name, scope.values), where=result.position)
        builder.outputs.append(result.name)
    graph = builder.build()
    verify(graph, "import")
    return graph


def _check_unique(identifiers: Iterable[Identifier], what: str) -> None:
    seen: set[str] = set()
    for identifier in identifiers:
        if identifier.name in seen:
            raise ModelError(f"{what} '{clip(identifier.name)}' is listed twice", where=identifier.position)
        seen.add(identifier.name)


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], parameters: list[str]) -> None:
    for name in shapes:
        if name not in parameters:
            listed = clip(", ".join(parameters), 200)
            raise InputError(f"shapes: the model has no input '{clip(name)}', its inputs are {listed}")


def _extensions(document: Document, caster: Caster) -> bool:
    """Checks the extension statements; whether operator expressions are declared. Raises ModelError."""
    declared: set[str] = set()
    for extension in document.extensions:
        name = extension.words[0]
        declared.update(extension.words)
        if name.startswith("tract_"):
            message = f"extension {clip(name)}: the file is written in the dialect of tract, which is not supported yet"
            raise UnsupportedError(message, where=extension.position)
        if not name.startswith("KHR_"):
            if not caster.dialect.unknown_extensions:
                raise ModelError(f"unknown extension {clip(name)}", where=extension.position)
            caster.notice(name, f"{extension.position}: unknown extension {clip(name)} is ignored")
    if document.fragments and "KHR_enable_fragment_definitions" not in declared:
        message = "the file defines fragments without extension KHR_enable_fragment_definitions"
        if not caster.dialect.undeclared_features:
            raise ModelError(message, where=document.fragments[0].position)
        caster.notice("fragment_definitions", message)
    return "KHR_enable_operator_expressions" in declared


def _fragments(document: Document, table: Table, caster: Caster) -> dict[str, Fragment]:
    """The file's fragments by name. Raises ModelError."""
    fragments: dict[str, Fragment] = {}
    for fragment in document.fragments:
        name = fragment.name
        if name in fragments:
            raise ModelError(f"fragment '{clip(name)}' is defined twice", where=fragment.position)
        if name in INTRODUCERS:
            raise ModelError(f"operation '{name}' cannot be defined by a fragment", where=fragment.position)
        if name in table or name in MISSING:
            message = f"fragment '{name}' has the name of a standard operation"
            if not caster.dialect.redefinitions:
                raise ModelError(message, where=fragment.position)
            used = "the file's definition is used" if fragment.body is not None else "the standard's meaning is used"
            caster.notice(f"fragment {name}", f"{fragment.position}: {message}; {used}")
        check_fragment(fragment, caster)
        fragments[name] = fragment
    return fragments


INTRODUCERS = ("external", "variable", "constant", "update")
"""Operations with a meaning beyond their results."""
