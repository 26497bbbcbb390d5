"""How a file is read: the rules of the standard, and what each dialect does where a file departs from one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nnef_cl.errors import UnsupportedError, UsageError
from nnef_cl.format.syntax import Document


class Verdict(Enum):
    """What becomes of a departure from a rule."""

    ERROR = "error"
    WARNING = "warning"
    ACCEPTED = "accepted"


@dataclass(frozen=True)
class Rule:
    """name: in messages. section: of NNEF 1.0.5, '' for our own. standard: what it says, a hint to the file's author.

    lenient: what the lenient reading does with a departure; '' where no reading accepts one. strict, reading: the
    verdicts of the strict and of the lenient reading. hint: what the file's author can do.
    """

    name: str
    section: str
    standard: str
    lenient: str = ""
    strict: Verdict = Verdict.ERROR
    reading: Verdict = Verdict.WARNING
    hint: str = ""


# Where the readings differ ---------------------------------------------------------------------------------
INTEGERS_AS_SCALARS = Rule(
    "integers-as-scalars",
    "3.3.1",
    "1 is an integer and 1.0 a scalar; neither is cast to the other.",
    "An integer where a scalar is expected, also in arithmetic with scalars, is read as a scalar.",
    hint="write 1.0 instead of 1",
)
POSITIONAL_ATTRIBUTES = Rule(
    "positional-attributes",
    "3.3.2",
    "Only tensors may be given by position, attributes must be named.",
    "Attributes may be given by position.",
    hint="write the attribute's name: name = value",
)
NAMED_TENSORS = Rule(
    "named-tensors",
    "3.3.2",
    "Naming tensor arguments is deprecated.",
    "Tensor arguments may be named.",
    strict=Verdict.WARNING,
    reading=Verdict.ACCEPTED,
    hint="give tensors without their names, first and in the order of the declaration",
)
SHAPE_OF = Rule(
    "shape-of",
    "3.3.3",
    "shape_of is deprecated since NNEF 1.0.1.",
    "shape_of gives the shape.",
    strict=Verdict.WARNING,
    hint="write the shape as an array",
)
REDEFINITIONS = Rule(
    "redefinitions",
    "3.3.2",
    "Every fragment has a name of its own, which no standard operation has.",
    "The file's body is used; where it has none, the standard's meaning.",
    hint="give the fragment another name",
)
UNDECLARED_FRAGMENTS = Rule(
    "undeclared-fragments",
    "3.2.2",
    "Fragments need the statement extension KHR_enable_fragment_definitions;",
    "Fragments may be defined without the statement.",
    hint="add the line: extension KHR_enable_fragment_definitions;",
)
UNDECLARED_OPERATORS = Rule(
    "undeclared-operators",
    "3.2.3",
    "Operators, nested invocations and whatever else is not flat need extension KHR_enable_operator_expressions;",
    "They may be used without the statement.",
    hint="add the line: extension KHR_enable_operator_expressions;",
)
VENDOR_EXTENSIONS = Rule(
    "vendor-extensions",
    "3.2.4",
    "What an extension means is not known, so neither is what the file means.",
    "An unknown extension of a vendor is ignored. One whose name begins with KHR_ is an error.",
    hint="remove the statement if the file means the same without it",
)
EXTENSION_LISTS = Rule(
    "extension-lists",
    "3.2.4",
    "An extension statement lists identifiers that are separated by white space.",
    "Commas may separate them, and anything may follow the name of a vendor's extension.",
    hint="write one statement for each extension",
)
VERSION_NUMBERS = Rule(
    "version-numbers",
    "3.2.4",
    "The version is written as major and minor number, such as 1.0.",
    "The minor number may be left out.",
    hint="write: version 1.0;",
)
STRING_CHARACTERS = Rule(
    "string-characters",
    "3.1",
    "Strings hold printable ASCII characters; a backslash is written twice.",
    "Other characters may stand in strings, and a backslash before anything but a quote or another one means itself.",
    hint="write printable ASCII characters, and two backslashes for one",
)
EMPTY_GRAPHS = Rule(
    "empty-graphs",
    "3.2.1",
    "A graph and a fragment with a body have one assignment at least.",
    "There may be none.",
    hint="remove the definition or complete it",
)
EMPTY_LISTS = Rule(
    "empty-lists",
    "3.2.1",
    "A graph and a fragment have one parameter and one result at least.",
    "There may be none: a graph may compute from its constants and variables alone.",
    hint="name an input and a result",
)
ARRAY_IDENTIFIERS = Rule(
    "array-identifiers",
    "3.3.2",
    "The array that a primitive operation returns must be unpacked with [a, b] = ...",
    "In a fragment one identifier may stand for the array.",
    hint="write [a, b] = ... with one identifier for each result",
)
TUPLE_SUBSCRIPTS = Rule(
    "tuple-subscripts",
    "3.3.3",
    "Subscripts of tuples are integer literals.",
    "They may be expressions whose value is known at compile time.",
    hint="write the number, or unpack the tuple with a, b = ...",
)
TENSOR_CONDITIONS = Rule(
    "tensor-conditions",
    "3.3.3",
    "The condition of a if c else b is a logical value known at compile time.",
    "Where c is a tensor, the expression is select(c, a, b).",
    hint="write select(c, a, b)",
)
CONV_BORDERS = Rule(
    "conv-borders",
    "4.3.1",
    "The border of a convolution is 'constant', 'replicate', 'reflect' or 'reflect-even'.",
    "'ignore' is read as 'constant'.",
    hint="write border = 'constant'",
)
CONV_BIAS = Rule(
    "conv-bias",
    "4.3.1",
    "The bias of a convolution has shape [1,channels] or is a single value.",
    "Shape [channels] is read as [1,channels].",
    hint="store the bias with shape [1,channels]",
)
DATA_OF_STATE = Rule(
    "data-of-state", "5.1", "The data of a variable is in the file of its label.",
    "A variable that the graph updates may have no file; it begins with zeros.",
)
OLD_ITEM_TYPES = Rule(
    "old-item-types",
    "5.2",
    "Item types have the codes 0 to 5; parameters in the header are deprecated.",
    "Codes and the sign of files from before NNEF 1.0.3 are understood.",
    hint="export the model again, or write its tensors with nnef_cl.format.tensor_file.write_tensor",
)
ITEM_PARAMETERS = Rule(
    "item-parameters", "5.2", "Parameters of quantised items belong into graph.quant; in the file they are deprecated.",
    "The file's own parameters say what its items stand for; an entry of graph.quant is applied to these values.",
    strict=Verdict.WARNING,
)
INTEGER_CODES = Rule(
    "integer-codes", "5.2.1", "Scalars are stored as floats or as quantised items.",
    "Plain integers of a variable that has an entry in graph.quant are read as its codes.",
)
EMPTY_RANGES = Rule(
    "empty-ranges", "4.9.5", "A range of quantisation has a maximum above its minimum, and a scale above 0.",
    "The formulas are computed as they stand; they may give NaN.", strict=Verdict.WARNING,
)

# What every reading refuses --------------------------------------------------------------------------------
SYNTAX = Rule(
    "syntax",
    "3.2",
    "The text must follow the grammar.",
    hint="look before this place, too: a missing semicolon or bracket shows at the next word",
)
EXTENSIONS = Rule(
    "extensions",
    "3.2.4",
    "Khronos' extensions are KHR_enable_fragment_definitions and KHR_enable_operator_expressions.",
    hint="correct the name; another extension of Khronos would change what the file means",
)
TYPES = Rule(
    "types",
    "3.3.1",
    "An argument has the type of its parameter, or one that is cast to it implicitly.",
    hint="correct the argument, or cast values known at compile time with integer(), scalar(), logical() or string()",
)
DECLARATIONS = Rule(
    "declarations",
    "3.3.2",
    "Names in a declaration are unique, tensors come before attributes, results are tensors, defaults fit their types.",
    hint="correct the fragment's declaration",
)
INVOCATIONS = Rule(
    "invocations",
    "3.3.2",
    "An invocation names a declared operation and gives each parameter without a default one value.",
    hint="correct the name or the list of arguments",
)
ASSIGNMENTS = Rule(
    "assignments",
    "3.3.2",
    "The left side has the structure of the results.",
    hint="write as many identifiers on the left side as there are results, arrays in brackets",
)
IDENTIFIERS = Rule(
    "identifiers",
    "3.3.2",
    "An identifier is assigned once, before it is used; parameters of the graph are defined by external, "
    "parameters of fragments are not assigned; in the graph every identifier is a tensor.",
    hint="correct the identifier, or move the statement that assigns it",
)
EXPRESSIONS = Rule(
    "expressions",
    "3.3.3",
    "Operators and built-in functions take the types of table 1.",
    hint="correct the types of the operands",
)
ARGUMENTS = Rule("arguments", "4", "Shapes and attributes obey the argument validity of their operation.")
CONTAINER = Rule(
    "container",
    "5.1",
    "The data of a variable is the file of its label with .dat at the end.",
    hint="add the file, or correct the label",
)
TENSOR_FILES = Rule(
    "tensor-files",
    "5.2",
    "A tensor file is what its header says, and has the shape and type of its variable.",
    hint="export the tensor again, or correct the declaration",
)
QUANTISATION = Rule(
    "quantisation",
    "5.3",
    "An entry names a tensor of the graph and a quantisation operation with named constant arguments that fit it.",
    hint="correct the entry in graph.quant",
)
LIMITS = Rule(
    "limits",
    "",
    "What nnef-cl bounds: sizes, depths and the time that reading a file may take.",
    hint="make the model smaller, or raise the limit as the message says",
)
UNSUPPORTED = Rule(
    "unsupported",
    "",
    "Valid NNEF that nnef-cl cannot run yet.",
    hint="the standard allows it; --ops names a file with operations and item types of your own",
)

RULES: dict[str, Rule] = {rule.name: rule for rule in tuple(globals().values()) if isinstance(rule, Rule)}
"""Every rule by name, the differences first."""

DIFFERENCES = tuple(rule for rule in RULES.values() if rule.lenient)
"""Every way in which the readings differ."""


@dataclass(frozen=True)
class Dialect:
    """One reading. says: what it is, in a line."""

    name: str
    says: str

    def verdict(self, rule: Rule) -> Verdict:
        """What becomes of a departure from the rule."""
        if self is STRICT:
            return rule.strict
        return rule.reading if rule.lenient else Verdict.ERROR

    def accepts(self, rule: Rule) -> bool:
        """With a warning or without."""
        return self.verdict(rule) is not Verdict.ERROR


STRICT = Dialect("strict", "the standard, nothing else")
LENIENT = Dialect("lenient", "what exporters get wrong is accepted with a warning that names the rule")
TRACT = Dialect("tract", "files that declare extension tract_registry; not supported yet")

DIALECTS = {dialect.name: dialect for dialect in (STRICT, LENIENT, TRACT)}
AUTO = "auto"
"""The file decides: tract where it declares tract_registry, lenient everywhere else."""


def check_dialect(name: str) -> None:
    """Raises UsageError where there is no such dialect."""
    if name != AUTO and name not in DIALECTS:
        raise UsageError(f"dialect '{name}': there are {', '.join((AUTO, *DIALECTS))}")


def choose_dialect(name: str, document: Document) -> Dialect:
    """The reading of that name, or the file's own. Raises UsageError, UnsupportedError."""
    check_dialect(name)
    declared = [extension for extension in document.extensions if extension.words[0] == "tract_registry"]
    chosen = DIALECTS[name] if name != AUTO else TRACT if declared else LENIENT
    if chosen is TRACT:
        written = "extension tract_registry: the file is written in the dialect of tract"
        reason, where = (written, declared[0].position) if declared else ("dialect tract", None)
        raise UnsupportedError(f"{reason}, which is not supported yet", where=where, rule=UNSUPPORTED.name)
    return chosen


def differences_table() -> str:
    """DIFFERENCES as a table in Markdown, for docs/dialects.md."""
    lines = ["| rule | section | the standard | strict | lenient |", "|---|---|---|---|---|"]
    for rule in DIFFERENCES:
        lenient = f"{rule.reading.value}: {rule.lenient}"
        cells = (f"`{rule.name}`", rule.section, rule.standard, rule.strict.value, lenient)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def rules_table() -> str:
    """The rules that no reading relaxes, in Markdown, for docs/dialects.md."""
    lines = ["| rule | section | what it says |", "|---|---|---|"]
    lines += [f"| `{r.name}` | {r.section or '-'} | {r.standard} |" for r in RULES.values() if not r.lenient]
    return "\n".join(lines) + "\n"
