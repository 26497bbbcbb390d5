"""Every exception class of nnef-cl, and how positions, operations and tensors are worded."""

from __future__ import annotations


class Error(Exception):
    """Base of every error nnef-cl raises on purpose."""


def located(message: str, where: object = None, op: str = "", tensor: str = "") -> str:
    """``graph.nnef:14:5: conv 'conv1': message``, without the parts that are not known."""
    subject = " ".join(part for part in (op, f"'{tensor}'" if tensor else "") if part)
    place = "" if where is None else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(where))
    return "".join(f"{part}: " for part in (place, subject) if part) + message


class ModelError(Error):
    """The model (its text, its files, its shapes) is wrong or asks for something not supported.

    where: position such as ``graph.nnef:14:5`` or a file name; op: NNEF operation; tensor: its result; rule: the one
    that is broken, a name of `nnef-cl validate --explain`. The text reads ``graph.nnef:14:5: conv 'conv1': message``.
    """

    def __init__(
        self, message: str, *, where: object = None, op: str = "", tensor: str = "", rule: str = ""
    ) -> None:
        self.message, self.where, self.op, self.tensor, self.rule = message, where, op, tensor, rule
        super().__init__(located(message, where, op, tensor))


class ModelSyntaxError(ModelError):
    """The text of ``graph.nnef`` or ``graph.quant`` breaks the grammar."""

    def __init__(
        self, message: str, *, where: object = None, op: str = "", tensor: str = "", rule: str = "syntax"
    ) -> None:
        super().__init__(message, where=where, op=op, tensor=tensor, rule=rule)


class FileFormatError(ModelError):
    """A ``.dat`` file, an archive or a folder is missing, truncated, lying about itself or hostile."""


class MissingTensorError(FileFormatError):
    """There is no ``.dat`` file for a variable."""


class UnsupportedError(ModelError):
    """Legal NNEF that this version of nnef-cl cannot run."""


class RuleError(Exception):
    """Raised by shape rules and references, which know no position; the importer turns it into ModelError.

    rule: the one that is broken, where the importer cannot know it better.
    """

    def __init__(self, message: str = "", rule: str = "") -> None:
        super().__init__(message)
        self.rule = rule


class InputError(Error):
    """What the caller passed to ``load`` or ``run`` does not fit the model; indices outside among it."""


class ExtensionError(Error):
    """An operation, a kernel template or a reader of item types that the user gave is wrong."""


class UsageError(Error):
    """The command line or an argument makes no sense, whatever the model."""


class DeviceError(Error):
    """No device, a device that fails, or a kernel that does not build."""


class OutOfMemoryError(DeviceError):
    """The model needs more memory than the device has; the message states both."""
