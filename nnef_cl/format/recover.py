"""Read a text with errors in it: every error, and what can be read around them, statement by statement."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from nnef_cl.errors import ModelSyntaxError
from nnef_cl.format.parser import TooLongError, decoded, parse_document, parse_piece, parse_quant_entries, place_of
from nnef_cl.format.syntax import (
    Assignment,
    Departure,
    Document,
    Extension,
    Fragment,
    GraphDefinition,
    QuantEntry,
    SourcePosition,
)
from nnef_cl.settings import FINDINGS

# A string has a bounded number of escapes because the pattern costs memory for each of them.
_SCAN = re.compile(
    r"""#[^\n\f]*|"[^"\\\n]*(?:\\.[^"\\\n]*){0,9999}"|'[^'\\\n]*(?:\\.[^'\\\n]*){0,9999}'|[;{}]|[^;{}#"']+|["']"""
)
_WORDS = re.compile(r"""#[^\n\f]*|"[^"\n]*"|'[^'\n]*'|([A-Za-z_][A-Za-z0-9_]*)""")
_KEYWORDS = ("version", "extension", "fragment", "graph")


@dataclass(frozen=True)
class Piece:
    """text: up to a ';', '{' or '}', which is `end` ('' at the end of everything), without the blank before it."""

    text: str
    end: str
    origin: SourcePosition

    @property
    def word(self) -> str:
        """The identifier or keyword at the beginning."""
        match = re.match(r"[A-Za-z_][A-Za-z0-9_]*", self.text)
        return match[0] if match else ""

    @property
    def shown(self) -> str:
        """How it begins, for messages."""
        first = self.word or self.text[:1] or self.end
        return f"keyword {first!a}" if first in _KEYWORDS else repr(first)

    def identifiers(self) -> set[str]:
        return {match[1] for match in _WORDS.finditer(self.text) if match[1]}


def pieces(text: str, file: str) -> Iterator[Piece]:
    """The text cut at ';', '{' and '}', outside of strings and comments. Joined, they are the text."""
    start, line, line_start = 0, 1, 0
    begun = False
    for match in _SCAN.finditer(text):
        token = match[0]
        if not begun:
            blank = len(token) - len(token.lstrip(" \t\v\f\r\n")) if token[0] != "#" else len(token)
            line += token.count("\n", 0, blank)
            if "\n" in token[:blank]:
                line_start = match.start() + token.rindex("\n", 0, blank) + 1
            start = match.start() + blank
            begun = blank < len(token)
            origin = SourcePosition(file, line, start - line_start + 1)
        if begun and token in (";", "{", "}"):
            yield Piece(text[start : match.start()], token, origin)
            piece = text[start : match.end()]
            line += piece.count("\n")
            if "\n" in piece:
                line_start = start + piece.rindex("\n") + 1
            begun = False
    if begun:
        yield Piece(text[start:], "", origin)


NOTHING = Document("1.0", (), (), GraphDefinition("graph", (), (), ()))


@dataclass
class Recovered:
    """What could be read of a graph.nnef. readable: anything at all. open_head: the graph's head is not known.

    lost: identifiers in what could not be read, which may be defined there. unsound: names of fragments with errors.
    """

    errors: list[ModelSyntaxError] = field(default_factory=list)
    document: Document = NOTHING
    readable: bool = True
    open_head: bool = False
    lost: set[str] = field(default_factory=set)
    unsound: set[str] = field(default_factory=set)


def recover_document(text: str | bytes, file: str = "graph.nnef") -> Recovered:
    """Every syntax error of a graph.nnef, and the document that is left without them. Raises nothing."""
    try:
        text = decoded(text, file)
        return Recovered(document=parse_document(text, file))
    except ModelSyntaxError as error:
        if isinstance(text, bytes) or isinstance(error, TooLongError):
            return Recovered([error], readable=False)
        return _Recovery(text, file, error).run()


class _Recovery:
    """One attempt, piece by piece. body: what the statements belong to, None outside."""

    def __init__(self, text: str, file: str, error: ModelSyntaxError) -> None:
        self.text, self.file, self.first, self.most = text, file, error, FINDINGS.value
        self.result = Recovered()
        self.extensions: list[Extension] = []
        self.fragments: list[Fragment] = []
        self.departures: list[Departure] = []
        self.graph: GraphDefinition | None = None
        self.body: list[Assignment] | None = None
        self.head: Any = None
        self.nested = 0
        self.skipping = False
        self.quiet = False
        self.confused = False
        self.expected = "'version'"

    def run(self) -> Recovered:
        for piece in pieces(self.text, self.file):
            if self.body is not None:
                self._statement(piece)
            else:
                self._top(piece)
            if len(self.result.errors) >= self.most:
                break
        self._finish()
        if not self.result.errors:
            self.result.errors.append(self.first)
        self.result.open_head = self.result.open_head or self.graph is None
        self.result.document = Document(
            "1.0", tuple(self.extensions), tuple(self.fragments), self.graph or NOTHING.graph, tuple(self.departures)
        )  # fmt: skip
        return self.result

    def _fail(self, error: ModelSyntaxError | str, piece: Piece) -> None:
        """Keeps the error; whatever the piece names may be defined by it."""
        if isinstance(error, str):
            error = ModelSyntaxError(error, where=piece.origin)
        if not any(known.where == error.where for known in self.result.errors[-2:]):
            self.result.errors.append(error)
        self.result.lost |= piece.identifiers()

    def _read(self, kind: str, piece: Piece, suffix: str) -> Any:
        """The record of a piece, None where it has an error."""
        try:
            record, departures = parse_piece(kind, piece.text + suffix, piece.origin)
        except ModelSyntaxError as error:
            self._fail(error, piece)
            return None
        self.departures += [departure for departure in departures if departure.rule != "empty-graphs"]
        return record

    # Outside of bodies -------------------------------------------------------------------------------------
    def _top(self, piece: Piece) -> None:
        if piece.word in _KEYWORDS:
            self.quiet = False
            self._ordered(piece)
            getattr(self, f"_{piece.word}")(piece)
            return
        if self.quiet:
            self.result.lost |= piece.identifiers()
        else:
            self._fail(f"found {piece.shown}, expected {self.expected}", piece)
        self.quiet = self.confused = True
        if piece.end == "{":
            (keyword,) = difflib.get_close_matches(piece.word, ("fragment", "graph"), 1) or ("",)
            if keyword == "graph" and self.graph is None:
                self._graph(replace(piece, text=keyword + piece.text[len(piece.word) :]))
            elif keyword == "fragment":
                self._fragment(replace(piece, text=keyword + piece.text[len(piece.word) :]))
            else:
                self._enter(None)

    def _ordered(self, piece: Piece) -> None:
        """The version, then extensions, then fragments, then one graph."""
        word = piece.word
        at_start = self.expected == "'version'"
        late = (
            (word == "version" and not at_start) or (word == "extension" and self.fragments) or self.graph is not None
        )  # fmt: skip
        if late or (word != "version" and at_start):
            self._fail(f"found {piece.shown}, expected {self.expected}", piece)

    def _version(self, piece: Piece) -> None:
        self._read("version", piece, piece.end)
        self._expect_definitions(piece)

    def _extension(self, piece: Piece) -> None:
        self.extensions += self._read("extensions", piece, piece.end) or ()
        self._expect_definitions(piece)

    def _expect_definitions(self, piece: Piece) -> None:
        self.expected = "'extension', 'fragment' or 'graph'"
        if piece.end == "{":  # the semicolon is missing, and a definition has been read over
            self.confused = True
            self._enter(None)

    def _fragment(self, piece: Piece) -> None:
        self.expected = "'fragment' or 'graph'"
        head = self._read("fragment", piece, "{}" if piece.end == "{" else piece.end)
        if piece.end == "{":
            self._enter(head)
        elif head is not None:
            self.fragments.append(head)
        else:
            self.quiet = self.confused = True

    def _graph(self, piece: Piece) -> None:
        head = self._read("graph", piece, "{}" if piece.end == "{" else piece.end)
        self.result.open_head = head is None
        if self.graph is None:
            self._enter(head or GraphDefinition("graph", (), (), (), piece.origin))
        elif piece.end == "{":
            self._enter(None)

    def _enter(self, head: Fragment | GraphDefinition | None) -> None:
        self.head, self.body, self.nested, self.skipping = head, [], 0, False
        self.errors_before = len(self.result.errors)

    # Bodies ------------------------------------------------------------------------------------------------
    def _statement(self, piece: Piece) -> None:
        if piece.word in _KEYWORDS and not re.match(r"\s*=", piece.text[len(piece.word) :]):
            self._fail(f"found {piece.shown}, expected '}}'", piece)
            self._leave()
            self._top(piece)
        elif self.skipping:
            self._skip(piece)
        else:
            if piece.text or piece.end != "}":
                self._assignment(piece)
            if piece.end == "}":
                self._leave()
            self.skipping = piece.end == "{"
            self.nested = int(self.skipping)

    def _skip(self, piece: Piece) -> None:
        """A statement with braces in it is read over up to its semicolon."""
        self.result.lost |= piece.identifiers()
        if piece.end == "}" and not self.nested:
            self._leave()
        elif piece.end == ";" and not self.nested:
            self.skipping = False
        self.nested += {"{": 1, "}": -1}.get(piece.end, 0) if self.body is not None else 0

    def _assignment(self, piece: Piece) -> None:
        record = self._read("assignment", piece, piece.end)
        if record is not None and self.body is not None:
            self.body.append(record)

    def _leave(self) -> None:
        """The body is at its end: the definition is complete, or what can be read of it."""
        assert self.body is not None
        body, head, self.body = tuple(self.body), self.head, None
        if isinstance(head, Fragment):
            self.fragments.append(
                Fragment(head.name, head.generic, head.parameters, head.results, body, head.position)
            )  # fmt: skip
            if len(self.result.errors) > self.errors_before:
                self.result.unsound.add(head.name)
        elif isinstance(head, GraphDefinition):
            self.graph = GraphDefinition(head.name, head.parameters, head.results, body, head.position)
            self.expected = "the end of the text"

    def _finish(self) -> None:
        """What the end of the text leaves open."""
        end = place_of(self.text, len(self.text), SourcePosition(self.file, 1, 1))
        missing = None
        if self.body is not None:
            self._leave()
            missing = "an assignment or '}'"
        elif self.graph is None and not self.confused:
            missing = self.expected
        full = len(self.result.errors) >= self.most
        if missing is not None and not full and not any(error.where == end for error in self.result.errors):
            self.result.errors.append(ModelSyntaxError(f"the text ends too early, expected {missing}", where=end))


def recover_entries(text: str | bytes, file: str = "graph.quant") -> tuple[list[QuantEntry], list[ModelSyntaxError]]:
    """The entries of a graph.quant that can be read, and every syntax error. Raises nothing."""
    try:
        text = decoded(text, file)
        return list(parse_quant_entries(text, file)), []
    except ModelSyntaxError as error:
        if isinstance(text, bytes) or isinstance(error, TooLongError):
            return [], [error]
        first = error
    entries: list[QuantEntry] = []
    errors: list[ModelSyntaxError] = []
    for piece in pieces(text, file):
        try:
            entries.append(parse_piece("quant_entry", piece.text + piece.end, piece.origin)[0])
        except ModelSyntaxError as error:
            errors.append(error)
        if len(errors) >= FINDINGS.value:
            break
    return entries, errors or [first]
