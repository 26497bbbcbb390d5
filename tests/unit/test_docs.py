"""The configuration guide: its examples are valid, its lists complete, its schema the one of the program."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import yaml
from typer.testing import CliRunner

from nnef_cl.commands import COMMANDS, app
from nnef_cl.conformance.case import cases_of
from nnef_cl.conformance.catalogue import document, readable, section, types
from nnef_cl.device.config import json_schema, parse_rules
from nnef_cl.device.rules import Capability, Rules, Settings
from nnef_cl.ops import STANDARD

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_are_valid(text: str) -> None:
    rules = parse_rules(text, "docs/devices.md")
    assert rules != Rules() and set(yaml.safe_load(text)) <= {field.name for field in fields(Rules)}


def test_every_vendor_has_an_example_and_says_whether_it_was_tried() -> None:
    for name in ("Intel's CPU runtime", "PoCL", "NVIDIA GPUs", "AMD GPUs", "Intel GPUs", "Arm Mali", "Qualcomm Adreno"):
        section = GUIDE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert "ried" in section and "```yaml" in section, name


def test_the_lists_are_complete() -> None:
    assert all(f"`{name}`" in GUIDE for name in (*(field.name for field in fields(Settings)), *get_args(Capability)))


def test_the_schema_is_the_programs() -> None:
    kept = json.loads((ROOT / "docs" / "devices.schema.json").read_text(encoding="utf-8"))
    assert kept == json_schema(), "nnef-cl devices --schema > docs/devices.schema.json"
    assert json.loads(CliRunner().invoke(app, ["devices", "--schema"]).stdout) == kept


def test_commands_in_the_guide_exist() -> None:
    names = {command.__name__ for command in COMMANDS}
    assert set(re.findall(r"^nnef-cl (\w+)", GUIDE, re.MULTILINE)) <= names


# The catalogue of operations --------------------------------------------------------------------------------
def test_the_catalogue_of_operations_is_current() -> None:
    kept = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert kept == document(), "python -m nnef_cl.conformance.catalogue > docs/operations.md"


def test_the_catalogue_has_every_operation_once() -> None:
    kept = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^### (\w+)$", kept, re.MULTILINE)) == sorted(STANDARD)


@pytest.mark.parametrize("name", STANDARD)
def test_every_record_says_what_it_computes(name: str) -> None:
    """By a body, an expression, or a sentence."""
    one = STANDARD[name]
    assert one.about or one.is_pointwise or one.declaration.body is not None, f"give {name} an about="
    assert not one.about or (one.about.endswith(".") and len(one.about) < 120)


def test_a_section() -> None:
    text = section(STANDARD["add"], [one for one in cases_of("pointwise") if one.op == "add"])
    assert "### add\n" in text and "`x + y`" in text and "**Kernels**: pointwise" in text
    assert types(STANDARD["select"]) == "`logical`, `?`"
    assert readable(STANDARD["relu"]) == "select(x, 0.0f, x < 0.0f)"
