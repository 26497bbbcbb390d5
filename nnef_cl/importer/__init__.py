"""Import a document or a model: Document and operation table -> typed, shaped, immutable Graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from nnef_cl.errors import InputError, RuleError
from nnef_cl.format.container import GRAPH, Container, open_container
from nnef_cl.format.parser import parse_document
from nnef_cl.format.printer import print_fragment
from nnef_cl.format.quant_file import parse_quant
from nnef_cl.format.syntax import (
    Assignment,
    Comprehension,
    Document,
    Fragment,
    Identifier,
    Invocation,
    Literal,
    QuantEntry,
    SourcePosition,
    parts,
)
from nnef_cl.format.tensor_file import TensorFile, read_tensor_file
from nnef_cl.importer.arguments import check_fragment, suggestion
from nnef_cl.importer.departures import check_text
from nnef_cl.importer.dialect import (
    AUTO,
    DECLARATIONS,
    IDENTIFIERS,
    LENIENT,
    REDEFINITIONS,
    STRICT,
    Dialect,
    choose_dialect,
)
from nnef_cl.importer.expand import INTRODUCERS, Expander
from nnef_cl.importer.introduce import Introducer, TensorSource
from nnef_cl.importer.quantisation import Quantiser, annotate
from nnef_cl.importer.report import Report
from nnef_cl.importer.scope import Scope
from nnef_cl.importer.types import UNKNOWN, Budget, Caster, Tensor, clip
from nnef_cl.ir.graph import Graph, GraphBuilder
from nnef_cl.ir.verify import verify
from nnef_cl.ops import STANDARD, is_custom
from nnef_cl.ops.base import Op, Table

__all__ = ["AUTO", "LENIENT", "STRICT", "Dialect", "ModelReader", "TensorSource", "import_document", "import_model"]

QUANT = "graph.quant"


def import_model(
    path: str | Path, *, shapes: Mapping[str, tuple[int, ...]] | None = None, table: Table = STANDARD,
    dialect: str = AUTO,
) -> Graph:  # fmt: skip
    """The graph of a folder, an archive or a graph.nnef. Variables are memory-mapped where the file allows it.

    shapes: other extents for inputs. dialect: 'auto', 'strict' or 'lenient'. Raises ModelError (of which
    FileFormatError, UnsupportedError, ...), InputError, UsageError.
    """
    with open_container(path) as container:
        return ModelReader(container, table, dialect).graph(shapes)


class ModelReader:
    """A model that is imported as often as it is asked for, with other shapes; each of its files is read once."""

    def __init__(self, container: Container, table: Table, dialect: str) -> None:
        """container: open as long as graphs are asked for. Raises ModelError, UsageError."""
        text = container.read_text(GRAPH)
        assert text is not None
        self._document = parse_document(text, GRAPH)
        quant = container.read_text(QUANT)
        self._quant = parse_quant(quant, QUANT) if quant is not None else ()
        self._dialect = choose_dialect(dialect, self._document)
        self._container, self._table = container, table
        self._tensors: dict[str, TensorFile] = {}

    def graph(self, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Graph:
        """As `import_model`."""
        return import_document(
            self._document, self._table, self._tensor, shapes=shapes, dialect=self._dialect, quant=self._quant
        )

    def _tensor(self, label: str, _: SourcePosition) -> TensorFile:
        if label not in self._tensors:
            buffer = self._container.open_tensor(label)
            self._tensors[label] = read_tensor_file(buffer, f"{label}.dat", self._table.readers)
        return self._tensors[label]


def import_document(
    document: Document, table: Table, tensors: TensorSource, *, shapes: Mapping[str, tuple[int, ...]] | None = None,
    dialect: Dialect = LENIENT, quant: Iterable[QuantEntry] = (),
) -> Graph:  # fmt: skip
    """The graph of a parsed document: types and shapes checked, fragments expanded, names of the file kept.

    tensors(label, position): a variable's array or TensorFile. shapes: other extents for inputs. Raises ModelError
    with the place in the file, UnsupportedError for what is not there yet, InputError for `shapes` that do not fit.
    """
    importer = Importer(document, table, tensors, shapes or {}, Report(dialect), quant)
    importer.run()
    return importer.graph()


class Importer:
    """The import of one document, step by step. What is wrong goes to the report."""

    def __init__(
        self, document: Document, table: Table, tensors: TensorSource, shapes: Mapping[str, tuple[int, ...]],
        report: Report, quant: Iterable[QuantEntry] = (),
    ) -> None:  # fmt: skip
        self.document, self.table, self.report = document, table, report
        self.parameters = [parameter.name for parameter in document.graph.parameters]
        _check_shapes(shapes, self.parameters)
        self.builder = GraphBuilder(document.graph.name)
        self.budget = Budget()
        updated = _updated(document.graph.body)
        self.introducer = Introducer(self.builder, self.parameters, tensors, shapes, report, updated)
        self.caster = Caster(report, self.introducer.literal, self.budget)
        self.fragments: dict[str, Fragment] = {}
        self.expander = Expander(
            self.builder, table, self.fragments, report, self.introducer, self.caster, self.budget
        )  # fmt: skip
        self.scope = Scope({}, document.graph.body, frozenset(self.parameters))
        self.quantiser = Quantiser(quant, document.graph, self.expander)
        self.introducer.quant_of = self.quantiser.record

    def run(self) -> None:
        """Everything. Raises ModelError unless the report collects."""
        self.declare()
        self.expand()
        self.check_interface()

    def declare(self) -> None:
        """The extensions, the file's fragments, the names of the graph's parameters and results."""
        graph = self.document.graph
        check_text(self.document, self.report)
        for identifiers, what in ((graph.parameters, "graph parameter"), (graph.results, "graph result")):
            self._check_unique(identifiers, what)
        for op in self.table.values():
            if is_custom(op.name, self.table):
                check_fragment(op.declaration, self.caster)
        for fragment in self.document.fragments:
            with self.report.guard(fragment.position, DECLARATIONS):
                self._declare(fragment)
            check_fragment(fragment, self.caster)

    def _check_unique(self, identifiers: Iterable[Identifier], what: str) -> None:
        seen: set[str] = set()
        for identifier in identifiers:
            with self.report.guard(identifier.position, IDENTIFIERS):
                if identifier.name in seen:
                    raise RuleError(f"{what} '{clip(identifier.name)}' is listed twice")
            seen.add(identifier.name)

    def _declare(self, fragment: Fragment) -> None:
        """Adds the fragment to the known ones. Raises RuleError."""
        name = fragment.name
        if name in self.fragments:
            raise RuleError(f"fragment '{clip(name)}' is defined twice")
        if name in INTRODUCERS:
            raise RuleError(f"operation '{name}' cannot be defined by a fragment")
        if is_custom(name, self.table):
            self.fragments[name] = self._custom(fragment, self.table[name])
            return
        self.fragments[name] = fragment
        if name in self.table:
            message = f"fragment '{name}' has the name of a standard operation"
            used = "the file's definition is used" if fragment.body is not None else "the standard's meaning is used"
            if self.report.accepts(REDEFINITIONS):
                message += f"; {used}"
            self.report.depart(REDEFINITIONS, message, fragment.position, subject=name)

    @staticmethod
    def _custom(fragment: Fragment, op: Op) -> Fragment:
        """The declaration alone: the user's operation stands for the file's fragment. Raises RuleError where it is
        declared otherwise."""
        mine = replace(op.declaration, body=None)
        expected = print_fragment(mine)
        if print_fragment(replace(fragment, body=None)) != expected:
            message = f"fragment '{fragment.name}' is declared otherwise than the operation given for it"
            raise RuleError(f"{message}: expected {expected}")
        return mine

    def expand(self) -> None:
        """The statements of the graph, in order."""
        self.quantiser.check()
        for statement in self.document.graph.body:
            since = len(self.builder.nodes)
            self.expander.assign(statement, self.scope)
            self.quantiser.apply(statement, self.scope, since)
            if self.budget.left < 0 or self.report.full:
                break

    def check_interface(self) -> None:
        """Every parameter is an input, every result a tensor."""
        graph, values = self.document.graph, self.scope.values
        for parameter in graph.parameters:
            with self.report.guard(parameter.position, IDENTIFIERS):
                known = parameter.name in self.introducer.externals or parameter.name in self.expander.lost
                if not known and values.get(parameter.name) is not UNKNOWN:
                    raise RuleError(f"graph parameter '{clip(parameter.name)}' is defined by no external")
        for result in graph.results:
            with self.report.guard(result.position, IDENTIFIERS):
                if result.name not in values and result.name not in self.expander.lost:
                    message = f"graph result '{clip(result.name)}' is never assigned"
                    raise RuleError(message + suggestion(result.name, values))

    def graph(self) -> Graph:
        """The graph, once all is well."""
        self.introducer.finish()
        self.builder.inputs = self.parameters
        self.builder.outputs = [result.name for result in self.document.graph.results]
        tensors = {name: self.scope.values[name] for name in self.builder.outputs}
        self.builder.renamed = {n: t.name for n, t in tensors.items() if isinstance(t, Tensor) and t.name != n}
        self.builder.warnings = [str(warning) for warning in self.report.warnings]
        annotate(self.builder)
        graph = self.builder.build()
        verify(graph, "import")
        return graph


def _updated(body: Iterable[Assignment]) -> set[str]:
    """Identifiers that may be what an `update` updates, loop variables and what they run over included, and those of
    other variables of the same label."""
    found: set[str] = set()
    for statement in body:
        within = list(parts(statement.value))
        calls = [part for part in within if isinstance(part, Invocation) and part.name == "update"]
        given = [(n, a) for call in calls for n, a in enumerate(call.arguments)]
        sources = [a.value for n, a in given if a.name == "variable" or (a.name is None and n == 0)]
        loops = [loop for part in within if isinstance(part, Comprehension) for loop in part.iterators]
        while sources:
            names = {part.name for part in parts(sources.pop()) if isinstance(part, Identifier)} - found
            sources += [values for name, values in loops if name in names]
            found |= names
    labels = _labels(body) if found else {}
    updated = {labels.get(name) for name in found}
    return found | {name for name, label in labels.items() if label in updated}


def _labels(body: Iterable[Assignment]) -> dict[str, str]:
    """Identifier -> the label of its variable, in lower case, which is one memory for all variables that have it."""
    return {
        statement.target.name: str(argument.value.value).lower()
        for statement in body
        if isinstance(statement.target, Identifier) and isinstance(statement.value, Invocation)
        if statement.value.name == "variable"
        for argument in statement.value.arguments
        if argument.name == "label" and isinstance(argument.value, Literal)
    }


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], parameters: list[str]) -> None:
    for name in shapes:
        if name not in parameters:
            listed = clip(", ".join(parameters), 200)
            raise InputError(f"shapes: the model has no input '{clip(name)}', its inputs are {listed}")
