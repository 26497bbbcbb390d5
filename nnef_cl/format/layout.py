"""Format the text of a graph.nnef canonically and keep its comments and the blank lines between its statements."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from nnef_cl.format.parser import decoded, parse_document
from nnef_cl.format.printer import print_assignment, print_head
from nnef_cl.format.syntax import Assignment, Document, Fragment, GraphDefinition

_SCAN = re.compile(
    r"""#[^\n\f]*|"[^"\\\n]*(?:\\.[^"\\\n]*){0,9999}"|'[^'\\\n]*(?:\\.[^'\\\n]*){0,9999}'|[()\[\]{}]|\n|[ \t\v\f\r]+"""
    r"""|[^()\[\]{}#"'\n \t\v\f\r]+|["']"""
)
INDENT = "    "
Place = tuple[int, int]
"""Line and column."""


@dataclass(frozen=True)
class Comment:
    """alone: nothing stands before it on its line. inside: brackets are open around it."""

    text: str
    place: Place
    alone: bool
    inside: bool


@dataclass
class Element:
    """A line of the result, with what goes before it and behind it. first_line: of the text, comments included."""

    text: str
    place: Place
    indent: str = ""
    before: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)
    first_line: int = 0

    def lines(self) -> Iterator[str]:
        indent = INDENT if self.text == "}" else self.indent
        yield from (f"{indent}{comment}" for comment in self.before)
        head, newline, rest = self.text.partition("\n")
        yield f"{self.indent}{'  '.join([head, *self.behind])}{newline}{rest}"


def format_document(text: str | bytes, file: str = "graph.nnef") -> str:
    """The canonical text of a document, one statement a line. Comments inside a statement go before it.

    The result parses to an equal document, and formatting it again changes nothing. Raises ModelSyntaxError.
    """
    text = decoded(text, file)
    document = parse_document(text, file)
    comments, braces, start = _scan(text)
    elements, breaks = _elements(document, braces, start)
    last = _attach(elements, comments)
    filled = {number for number, line in enumerate(text.split("\n"), 1) if line.strip()}
    lines: list[str] = []
    for number, element in enumerate(elements):
        in_body = bool(element.indent) and elements[number - 1].indent
        if number in breaks or (in_body and element.first_line - 1 not in filled):
            lines.append("")
        lines += element.lines()
    return "\n".join([*lines, *([""] if last else []), *last]) + "\n"


def _scan(text: str) -> tuple[list[Comment], list[Place], Place]:
    """The comments, the places of closing braces, and where the text without blanks and comments begins."""
    comments: list[Comment] = []
    braces: list[Place] = []
    start: Place | None = None
    line, line_start, depth, alone = 1, 0, 0, True
    for match in _SCAN.finditer(text):
        token, place = match[0], (line, match.start() - line_start + 1)
        if token == "\n":
            line, line_start, alone = line + 1, match.end(), True
        elif token[0] == "#":
            comments.append(Comment(_clean(token), place, alone, depth > 0))
        elif not token.isspace():
            alone, start = False, start or place
            depth += (token in "([") - (token in ")]")
            if token == "}":
                braces.append(place)
    return comments, braces, start or (1, 1)


def _clean(comment: str) -> str:
    """Without what a terminal or another line end could make of it."""
    return "".join(c if c.isprintable() else " " for c in comment).rstrip()


def _elements(document: Document, braces: list[Place], start: Place) -> tuple[list[Element], set[int]]:
    """Every line, and the numbers of those that begin a part."""
    elements = [Element(f"version {document.version};", start)]
    elements += [
        Element(f"extension {' '.join(e.words)};", (e.position.line, e.position.column)) for e in document.extensions
    ]
    breaks: set[int] = set()
    ends = iter(braces)
    parts: list[Fragment | GraphDefinition] = [*document.fragments, document.graph]
    for part in parts:
        breaks.add(len(elements))
        place = (part.position.line, part.position.column)
        if part.body is None:
            elements.append(Element(print_head(part), place))
            continue
        elements.append(Element(f"{print_head(part)}\n{{", place))
        elements += map(_statement, part.body)
        elements.append(Element("}", next(ends)))
    return elements, breaks


def _statement(statement: Assignment) -> Element:
    place = (statement.position.line, statement.position.column)
    return Element(print_assignment(statement), place, INDENT)


def _attach(elements: list[Element], comments: list[Comment]) -> list[str]:
    """Gives every comment to the line it belongs to; returns those behind the end."""
    last: list[str] = []
    places = [element.place for element in elements]
    for element in elements:
        element.first_line = element.place[0]
    for comment in comments:
        owner = bisect_right(places, comment.place) - 1
        if owner >= 0 and not comment.inside and not comment.alone:
            elements[owner].behind.append(comment.text)
            continue
        following = owner if owner >= 0 and comment.inside else owner + 1
        if following == len(elements):
            last.append(comment.text)
            continue
        element = elements[following]
        if not element.before and comment.alone:
            element.first_line = min(element.first_line, comment.place[0])
        element.before.append(comment.text)
    return last
