"""Choosing a device and reading devices.yaml, on made-up devices."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from nnef_cl.device.config import VARIABLE, active_rules, load_rules, packaged_rules, parse_rules, user_file
from nnef_cl.device.discovery import Discovery, FoundDevice
from nnef_cl.device.facts import Capabilities, DeviceInfo
from nnef_cl.device.rules import Rules
from nnef_cl.device.selectors import ENVIRONMENT, select, select_group, selectors_for
from nnef_cl.device.targets import make_target
from nnef_cl.errors import DeviceError, UsageError

CPU = DeviceInfo(
    platform="Portable Computing Language", platform_version="OpenCL 3.0 PoCL 5.0",
    platform_vendor="The pocl project", name="cpu-haswell", vendor="GenuineIntel", type="cpu",
    version="OpenCL 3.0", opencl_c_version="OpenCL C 1.2", driver_version="5.0", compute_units=8,
    vector_width=8, max_work_group=4096, local_memory=1 << 20, local_memory_real=False,
    global_memory=1 << 34, max_allocation=1 << 31, max_parameter_bytes=1024, alignment=128, cache=1 << 25, near_cache=1 << 20,
    unified_memory=True,
    fp16=False, fp64=True, subgroups=False, source="system", library="", index="0:0",
)  # fmt: skip
INTEL_CPU = replace(
    CPU, platform="Intel(R) OpenCL", platform_version="OpenCL 3.0 LINUX", vendor="Intel(R) Corporation",
    name="AMD EPYC", vector_width=16, index="1:0",
)  # fmt: skip
GPU = replace(
    CPU, platform="Fast Graphics", platform_version="OpenCL 3.0 FG 12", vendor="Fast Inc", name="Fast 9000",
    type="gpu", vector_width=1, max_work_group=1024, unified_memory=False, index="2:0",
)  # fmt: skip
SMALL_GPU = replace(GPU, name="Fast Mini", unified_memory=True, index="2:1")
FPGA = replace(GPU, platform="Gates", name="Board", vendor="Gates Ltd", type="accelerator", index="3:0")
SIMULATOR = replace(
    GPU, platform="Oclgrind", platform_version="OpenCL 1.2", vendor="Oclgrind", name="Oclgrind Simulator",
    type="custom", index="4:0",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)


def found(*infos: DeviceInfo) -> Discovery:
    return Discovery(tuple(FoundDevice(info, handle=None) for info in infos))


def chosen(selector: str | None, *infos: DeviceInfo) -> DeviceInfo:
    return select(found(*infos), selector).device.info


EVERYTHING = (SIMULATOR, CPU, INTEL_CPU, SMALL_GPU, GPU, FPGA)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("auto", GPU), (None, GPU), ("gpu", GPU), ("GPU:0", GPU), ("gpu:1", SMALL_GPU),
        ("cpu", INTEL_CPU), ("cpu:1", CPU), ("accelerator", FPGA), ("0:0", CPU), ("2:1", SMALL_GPU),
        ("pocl", CPU), ("PoCL 5", CPU), ("haswell", CPU), ("fast mini", SMALL_GPU), ("epyc", INTEL_CPU),
        ("gates", FPGA), ("oclgrind", SIMULATOR), ("4:0", SIMULATOR),
    ],
)  # fmt: skip
def test_a_selector_reaches_its_device(selector: str | None, expected: DeviceInfo) -> None:
    assert chosen(selector, *EVERYTHING) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("gpu+cpu", (GPU, INTEL_CPU)), ("cpu:0 + cpu:1", (INTEL_CPU, CPU)), ("2:0+2:1", (GPU, SMALL_GPU)),
        ("cpu:5+gpu, gpu+pocl", (GPU, CPU)), ("gpu", (GPU,)), ("Mixed", (FPGA, CPU)),
    ],
)  # fmt: skip
def test_a_group_reaches_its_devices(selector: str, expected: tuple[DeviceInfo, ...]) -> None:
    rules = packaged_rules().extended(parse_rules("groups: {mixed: [gates, pocl]}", "devices.yaml"))
    choices = select_group(found(*EVERYTHING), selector, rules)
    assert tuple(choice.device.info for choice in choices) == expected


def test_a_plus_in_a_name_is_no_group() -> None:
    plus = replace(GPU, name="Fast+")
    assert [choice.device.info for choice in select_group(found(CPU, plus), "fast+")] == [plus]


@pytest.mark.parametrize(
    ("selector", "message"),
    [("cpu+0:0+cpu:1", "names a device twice"), ("cpu++gpu", "missing beside a"), ("+", "missing beside a"),
     ("cpu+abacus", "'abacus' fits no device")],
)  # fmt: skip
def test_groups_that_cannot_be(selector: str, message: str) -> None:
    with pytest.raises((DeviceError, UsageError), match=message):
        select_group(found(*EVERYTHING), selector)


def test_one_device_where_one_is_needed() -> None:
    with pytest.raises(DeviceError, match="one device is needed"):
        chosen("gpu+cpu", *EVERYTHING)


@pytest.mark.parametrize("text", ["groups: {gpu: [a, b]}", "groups: {one: [a]}", "groups: {two: a+b}"])
def test_groups_that_the_file_cannot_have(text: str) -> None:
    with pytest.raises(UsageError, match="groups"):
        parse_rules(text, "devices.yaml")


@pytest.mark.parametrize("selector", ["", " ", ",", " , "])
def test_a_selector_without_a_word(selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=f"selector '{selector}' names no device"):
        chosen(selector, CPU)
    monkeypatch.setenv(ENVIRONMENT, selector)
    if selector:
        with pytest.raises(UsageError, match=f"{ENVIRONMENT} '{selector}' names no device"):
            chosen(None, CPU)
    else:
        assert chosen(None, CPU) == CPU


@pytest.mark.parametrize(
    ("infos", "expected", "reason"),
    [
        ((CPU, GPU), GPU, "the only GPU"),
        ((SMALL_GPU, GPU), GPU, "of 2 GPUs the first with its own memory"),
        ((CPU, FPGA), FPGA, "no GPU found; the only accelerator"),
        ((SIMULATOR, CPU), CPU, "no GPU or accelerator found; the only CPU runtime"),
        ((CPU, INTEL_CPU), INTEL_CPU, "of 2 CPU runtimes the one that devices.yaml prefers"),
        ((GPU, replace(GPU, index="2:1")), GPU, "the first of 2 GPUs"),
    ],
)
def test_the_automatic_choice_says_why(infos: tuple[DeviceInfo, ...], expected: DeviceInfo, reason: str) -> None:
    choice = select(found(*infos), "auto")
    assert choice.device.info == expected
    assert choice.reason.endswith(reason)


def test_the_environment_gives_the_default_selector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "cpu:1")
    assert chosen(None, *EVERYTHING) == CPU
    assert chosen("auto", *EVERYTHING) == GPU
    monkeypatch.setenv(ENVIRONMENT, "nonsense")
    with pytest.raises(DeviceError, match="NNEF_CL_DEVICE 'nonsense' fits no device"):
        chosen(None, *EVERYTHING)


def test_an_ambiguous_selector_lists_only_the_candidates() -> None:
    with pytest.raises(DeviceError) as caught:
        chosen("fast", *EVERYTHING)
    first, *lines = str(caught.value).splitlines()
    assert first == "selector 'fast' fits several devices; candidates:"
    assert lines == [
        "  Fast Mini (Fast Graphics, gpu): gpu:1, 2:1, fast mini",
        "  Fast 9000 (Fast Graphics, gpu): gpu, 2:0, fast 9000",
    ]


@pytest.mark.parametrize("selector", ["nonsense", "gpu:2", "9:9", "custom", "cpu:99999999999999999999"])
def test_an_unknown_selector_lists_every_device(selector: str) -> None:
    with pytest.raises(DeviceError, match="fits no device; there are:") as caught:
        chosen(selector, *EVERYTHING)
    assert all(info.name in str(caught.value) for info in EVERYTHING)


def test_an_exact_name_wins_over_a_longer_one() -> None:
    longer = replace(GPU, name="Fast 9000 Super", index="2:1")
    assert chosen("fast 9000", GPU, longer) == GPU


def test_listed_selectors_reach_exactly_their_device() -> None:
    discovery = found(*EVERYTHING)
    for device in discovery.devices:
        selectors = selectors_for(discovery, device)
        assert device.info.index in selectors
        assert all(select(discovery, selector).device == device for selector in selectors)


def test_no_device_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(DeviceError, match=r"pip install 'nnef-cl\[cpu\]'(.|\n)*libfoo.so: missing"):
        select(Discovery((), ("libfoo.so: missing",)), "auto")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(DeviceError, match="apt install pocl-opencl-icd"):
        select(Discovery(()), "gpu")


def test_the_simulator_alone_is_not_chosen() -> None:
    with pytest.raises(DeviceError, match=r"no device can be chosen automatically(.|\n)*oclgrind"):
        chosen("auto", SIMULATOR)


@pytest.mark.parametrize(
    ("info", "width", "registers", "work_group"),
    [
        (CPU, 8, 16, 64),
        (INTEL_CPU, 16, 32, 64),
        (replace(CPU, vector_width=64), 16, 32, 64),
        (replace(CPU, vector_width=6), 4, 16, 64),
        (replace(CPU, vector_width=0), 1, 16, 64),
        (replace(CPU, max_work_group=1), 8, 16, 1),
        (GPU, 1, 16, 128),
        (replace(GPU, vector_width=4), 1, 16, 128),
    ],
)
def test_target_from_facts(info: DeviceInfo, width: int, registers: int, work_group: int) -> None:
    target = make_target(info, Rules())
    assert (target.vector_width, target.vector_registers, target.work_group) == (width, registers, work_group)
    assert target.unified_memory is info.unified_memory
    assert target.max_allocation == info.max_allocation


RULES = """
order: [cpu, gpu]
prefer:
  - {match: {vendor: "*GENUINE*"}, because: "test"}
never_automatic:
  - {match: {device: "fast mini"}, because: "test"}
rules:
  - match: {platform: "Fast*", type: gpu}
    set: {work_group: 64, vector_width: 4}
    because: "test"
  - match: {driver: "5.*", device: "*9000"}
    set: {work_group: 4096, unified_memory: true}
    because: "test"
"""


def test_rules_override_and_later_ones_win() -> None:
    rules = parse_rules(RULES, "mine.yaml")
    mini, large = make_target(SMALL_GPU, rules), make_target(GPU, rules)
    assert (mini.work_group, mini.vector_width, mini.unified_memory) == (64, 4, True)
    assert (large.work_group, large.vector_width, large.unified_memory) == (1024, 4, True)
    assert make_target(CPU, rules) == make_target(CPU, Rules())


NAMED = """
threads: 3
devices:
  edge:
    match: {platform: "Fast*", device: "*mini"}
    set: {work_group: 32}
  both: {match: {platform: "Fast*"}}
rules:
  - {match: {device: "Fast 9000"}, broken: true, because: "it burned"}
  - {match: {type: accelerator}, without: [local_memory], because: "slow"}
  - {match: {type: accelerator}, program_cache: driver, because: "offline"}
"""


def test_a_name_from_the_file_selects_and_corrects() -> None:
    rules = parse_rules(NAMED, "mine.yaml")
    choice = select(found(*EVERYTHING), "EDGE", rules)
    assert (choice.device.info, choice.name) == (SMALL_GPU, "edge")
    assert make_target(SMALL_GPU, rules, name=choice.name).work_group == 32
    assert make_target(SMALL_GPU, rules).work_group == 128
    assert "edge" in selectors_for(found(*EVERYTHING), choice.device, rules)
    with pytest.raises(DeviceError, match="'both' fits several devices"):
        select(found(*EVERYTHING), "both", rules)


def test_a_list_falls_back_in_order_and_says_so() -> None:
    choice = select(found(CPU, INTEL_CPU), "gpu, accelerator,cpu:1")
    assert choice.device.info == CPU
    assert choice.reason == (
        "selector 'gpu' fits no device; selector 'accelerator' fits no device; named by selector 'cpu:1'"
    )
    with pytest.raises(DeviceError, match="'gpu' fits no device; selector '7:7' fits no device; there are:"):
        select(found(CPU), "gpu,7:7")


def test_a_device_that_does_not_compute_is_skipped_with_the_reason() -> None:
    def judge(info: DeviceInfo) -> str:
        return "computes wrongly" if info in (GPU, INTEL_CPU) else ""

    everything = found(*EVERYTHING)
    assert select(everything, "auto", None, judge).device.info == SMALL_GPU
    choice = select(everything, "cpu", None, judge)
    assert choice.device.info == CPU and "AMD EPYC (Intel(R) OpenCL, cpu) skipped: computes wrongly" in choice.reason
    with pytest.raises(DeviceError, match=r"Fast 9000 .* cannot be used: computes wrongly"):
        select(everything, "2:0", None, judge)
    choice = select(everything, "2:0,cpu:1", None, judge)
    assert choice.device.info == CPU and choice.reason.startswith("selector '2:0': Fast 9000")
    with pytest.raises(DeviceError, match=r"no device can be chosen automatically(.|\n)*skipped: computes wrongly"):
        select(found(GPU, SIMULATOR), "auto", None, judge)


def test_known_faults() -> None:
    rules = parse_rules(NAMED, "mine.yaml")
    assert rules.broken_because(GPU) == "it burned" and not rules.broken_because(SMALL_GPU)
    assert rules.program_cache(FPGA) == "driver" and rules.program_cache(CPU) == "binary"
    tried = Capabilities(local_memory=32768, largest_allocation=1 << 20)
    board = replace(FPGA, local_memory=1 << 16, local_memory_real=True)
    assert make_target(board, rules, tried).local_memory == 0
    target = make_target(board, Rules(), tried)
    assert (target.local_memory, target.max_allocation) == (32768, 1 << 20)


def test_threads_limit_the_units_of_cpus_only() -> None:
    assert make_target(CPU, threads=2).compute_units == 2
    assert make_target(CPU, threads=99).compute_units == 8
    assert make_target(GPU, threads=2).compute_units == 8


def test_a_users_file_adds_to_the_packaged_one() -> None:
    packaged, mine = packaged_rules(), parse_rules(NAMED + RULES.replace("rules:", "x:").split("x:")[0], "mine.yaml")
    both = packaged.extended(mine)
    assert (both.threads, both.order, set(both.devices)) == (3, ("cpu", "gpu"), {"edge", "both"})
    assert both.prefer[0].because == "test" and both.prefer[-1] == packaged.prefer[-1]
    assert both.rules == (*packaged.rules, *mine.rules) and both.runtimes == packaged.runtimes
    assert packaged.extended(Rules()) == packaged


def test_where_the_users_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert user_file() is None and active_rules() == packaged_rules()
    (tmp_path / "devices.yaml").write_text((Path(__file__).parents[2] / "devices.yaml").read_text())
    assert user_file() is None, "a copy of the packaged file"
    kept = tmp_path / "config" / "nnef-cl" / "devices.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text("threads: 5")
    if user_file() is not None:  # not on systems that have no XDG folders
        assert user_file() == kept and active_rules().threads == 5
    (tmp_path / "devices.yaml").write_text("threads: 6")
    assert user_file() == Path("devices.yaml") and active_rules().threads == 6
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent.yaml"))
    with pytest.raises(UsageError, match=r"absent.yaml: cannot be read"):
        active_rules()


def test_rules_steer_the_choice() -> None:
    rules = parse_rules(RULES, "mine.yaml")
    assert select(found(*EVERYTHING), "auto", rules).device.info == CPU
    assert select(found(SMALL_GPU, GPU), "gpu", rules).device.info == GPU
    with pytest.raises(DeviceError):
        select(found(SMALL_GPU, GPU), "gpu:1", rules)


def test_brackets_in_patterns_are_literal() -> None:
    rules = parse_rules('never_automatic: [{match: {platform: "X[1]*"}, because: t}]', "f")
    assert rules.not_automatic_because(replace(GPU, platform="X[1] y")) == "t"
    assert rules.not_automatic_because(replace(GPU, platform="X1 y")) == ""


RULE = "rules:\n  - match: {type: cpu}\n    "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("order: [gpu]\nordre: [cpu]", r"mine.yaml:2: ordre: unknown key"),
        (RULE + "set: {vectors: 4}\n    because: x", r":3: .*vectors: unknown key"),
        (RULE + "set:\n      work_group: -1\n    because: x", r":4: .*greater than 0"),
        (RULE + "set:\n      vector_width: 3\n    because: x", r":4: .*vector_width"),
        (RULE + "set: {work_group: 1}", r":2: .*because: Field required"),
        ("\norder: [gpu, tpu]", r":2: order\.1: "),
        ("prefer:\n  - match: {}\n    because: x", r":2: .*at least one pattern"),
        ("order: [gpu]\norder: [cpu]", r":2: order: key given twice"),
        ("order: [gpu", r"mine.yaml:\d+: not valid YAML"),
        ("- 1", r"mine.yaml:1: "),
        ("a: \x00", r"mine.yaml: not valid YAML"),
        (RULE + "because: x", r":2: .*one of set, broken, without, program_cache"),
        (RULE + "without: [speed]\n    because: x", r":3: .*without"),
        ("devices:\n  gpu: {match: {type: gpu}}", r"mine.yaml:1: .*'gpu' selects by itself"),
        ("devices:\n  0x: {match: {type: gpu}}", r":2: "),
        ("threads: 0", r":1: threads: .*greater than 0"),
        ("runtimes:\n  threads:\n    - {variable: A=B, because: x}", r":3: .*variable"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_rules(text, "mine.yaml")


def test_files(tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text(RULES)
    assert load_rules(tmp_path / "devices.yaml").order == ("cpu", "gpu")
    with pytest.raises(UsageError, match="cannot be read"):
        load_rules(tmp_path / "absent.yaml")
    assert parse_rules("", "empty.yaml") == Rules()


def test_the_packaged_file_is_valid_and_reasoned() -> None:
    rules = packaged_rules()
    assert rules == parse_rules((Path(__file__).parents[2] / "devices.yaml").read_text(), "devices.yaml")
    assert rules.order == ("gpu", "accelerator", "cpu")
    assert rules.not_automatic_because(SIMULATOR)


NINES = "9" * 5000
DOUBLED = "order: &a0 [cpu]\n" + "\n".join(f"k{n}: &a{n + 1} [*a{n}, *a{n}]" for n in range(40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DOUBLED, "more than 100,000 values"),
        ("rules: &a\n  - *a", "more than 100,000 values"),
        ("order: " + "[" * 50_000, "not valid YAML"),
        ("threads: 0x" + "f" * 5000, "more than 1000 characters"),
        ("# " + "x" * (1 << 20), "has more than 1,048,576 bytes"),
        ("order: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("hello", "f.yaml:1: expected keys"),
        ("order: 5", "f.yaml:1: order: expected a list"),
    ],
)
def test_hostile_files(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_rules(tmp_path / "f.yaml")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (Path("/dev/zero"), "not a regular file"), (tmp_path / "pipe", "not a regular file"), (tmp_path, "a folder"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"{path}: cannot be read: is {words}"):
            load_rules(path)
