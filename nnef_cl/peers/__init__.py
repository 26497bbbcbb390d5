"""Other engines that nnef-cl is compared with: which there are, and what each needs to be installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from nnef_cl.errors import Error, UsageError
from nnef_cl.peers.engine import Engine, Hint

PEERS = ("onnxruntime", "openvino", "tract")
"""Each is the name of a Python package, of the extra that installs it, and of a module in this folder."""


@dataclass(frozen=True)
class Peer:
    """An engine whose package is installed."""

    name: str

    @property
    def version(self) -> str:
        return metadata.version(self.name)

    def open(self, model: Path, inputs: Mapping[str, np.ndarray], threads: int, hint: Hint) -> Engine:
        """The ONNX model ready to run on these inputs. Raises Error where the engine refuses it."""
        module = importlib.import_module(f"{__name__}.{self.name}")
        try:
            engine: Engine = module.open_engine(model, inputs, threads, hint)
            engine.run()
        except Exception as error:  # engines share no class of exceptions
            raise Error(f"{self.name} refuses the model: {' '.join(str(error).split())[:300]}") from error
        return engine


def find_peers(names: Iterable[str]) -> list[Peer]:
    """The peers of these names, each once. Raises UsageError for one that is unknown or not installed."""
    found = []
    for name in dict.fromkeys(names):
        if name not in PEERS:
            raise UsageError(f"no peer '{name}': there are {', '.join(PEERS)}")
        for package in ("onnx", name):
            if importlib.util.find_spec(package) is None:
                raise UsageError(f"{name}: the package {package} is missing: pip install 'nnef-cl[{name}]'")
        found.append(Peer(name))
    return found
