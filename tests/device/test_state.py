"""Variables that a model updates: old values within a run, new ones after it; reading, setting, saving them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnef_cl
from nnef_cl import bench
from nnef_cl.device.queue import Queue
from nnef_cl.errors import DeviceError, Error, InputError, ModelError
from nnef_cl.format.container import open_container
from nnef_cl.format.tensor_file import read_tensor_file
from tests.device.test_session import save

HEAD = "version 1.0;\nextension KHR_enable_operator_expressions;\n"
A, B = np.array([[1.0, 2.0, 3.0]], np.float32), np.array([[10.0, 20.0, 30.0]], np.float32)
VARIABLES = "a = variable(shape = [1, 3], label = 'a'); b = variable(shape = [1, 3], label = 'b');"
COUNTER = (
    HEAD + "graph g( x ) -> ( total )\n{\n    x = external(shape = [1, 3]);\n"
    "    a = variable(shape = [1, 3], label = 'net/a');\n    total = update(a, a + x);\n}\n"
)


def graph(body: str, results: str) -> str:
    return f"{HEAD}graph g( x ) -> ( {results} )\n{{\n    x = external(shape = [1, 3]);\n    {VARIABLES}\n    {body}\n}}\n"


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    path = save(tmp_path / "counter", COUNTER)
    (path / "net").mkdir()
    save(path / "net", COUNTER, a=A)
    (path / "net" / "graph.nnef").unlink()
    return path


ONE = np.ones((1, 3), np.float32)


def test_values_persist(counter: Path, selector: str) -> None:
    with nnef_cl.load(counter, device=selector) as session:
        for count in range(1, 5):
            np.testing.assert_array_equal(session(ONE), A + count)
            np.testing.assert_array_equal(session.state["net/a"], A + count)
        session.reset()
        np.testing.assert_array_equal(session.state["a"], A)
        np.testing.assert_array_equal(session(ONE), A + 1)


BODIES: dict[str, tuple[str, str]] = {
    "swap": ("n = update(a, b); m = update(b, a); y = a + x;", "n, m, y, a, b"),
    "read after the update": ("n = update(a, x); y = a * 2.0; m = update(b, y);", "n, y, a"),
    "itself": ("n = update(a, a); m = update(b, b + a);", "n, m, a, b"),
    "an input": ("n = update(a, x); m = update(b, n);", "n, m, a, b"),
    "a constant": ("c = constant(shape = [1, 3], value = [7.0, 8.0, 9.0]); n = update(a, c); m = update(b, a);", "m"),
    "another shape of a variable": (
        "r = reshape(b, shape = [3, 1]); s = reshape(r, shape = [1, 3]); n = update(a, s);"
        "m = update(b, reshape(reshape(a, shape = [3]), shape = [1, 3]));",
        "r, m",
    ),
    "a value others read": ("v = tanh(a + x); n = update(a, v); y = v * b; m = update(b, y - n);", "y, v, a, b"),
    "nobody reads the result": ("n = update(a, b + x); m = update(b, sqr(a)); y = copy(x);", "y"),
    "a chain": ("n = update(a, b + x); m = update(b, n); y = n - a;", "y, a, b, n, m"),
}


def simulate(body: str, state: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    """One cycle of a body, statement by statement."""
    calls: dict[str, Any] = {
        "copy": lambda v: v, "tanh": np.tanh, "sqr": np.square,
        "reshape": lambda v, shape: v.reshape(shape), "constant": lambda shape, value: np.float32(value).reshape(shape),
    }  # fmt: skip
    values: dict[str, Any] = {"x": x, **state}
    new = dict(state)
    for statement in filter(None, map(str.strip, body.split(";"))):
        target, _, text = statement.partition(" = ")
        if text.startswith("update("):
            variable, _, text = text[len("update(") : -1].partition(", ")
            new[variable] = values[target] = eval(text, calls, values)
        else:
            values[target] = eval(text, calls, values)
    state.update(new)
    return values


@pytest.mark.parametrize("name", BODIES)
def test_cycles(tmp_path: Path, selector: str, name: str) -> None:
    body, results = BODIES[name]
    state = {"a": A, "b": B}
    with nnef_cl.load(save(tmp_path / "m", graph(body, results), a=A, b=B), device=selector) as session:
        for number in range(3):
            x = np.float32([[number, 0.5, -number]])
            got = session.run({"x": x})
            expected = simulate(body, state, x)
            for result, array in got.items():
                np.testing.assert_allclose(array, expected[result], rtol=1e-5, atol=1e-6, err_msg=f"{result} {number}")
            for variable, array in state.items():
                np.testing.assert_allclose(session.state[variable], array, rtol=1e-5, atol=1e-6)


def test_variables_of_one_label_are_one(tmp_path: Path, selector: str) -> None:
    text = graph(
        "c = variable(shape = [1, 3], label = 'A'); d = variable(shape = [1, 3], label = '/a');"
        "n = update(c, d + a); y = c + d;", "y, n",
    )  # fmt: skip
    with nnef_cl.load(save(tmp_path / "m", text, a=A, b=B), device=selector) as session:
        assert len(session.state) == 1 and "d" in session.state
        session(ONE)
        y, n = session(ONE)
        np.testing.assert_array_equal(y, 4 * A)
        np.testing.assert_array_equal(n, 4 * A)
        np.testing.assert_array_equal(session.state["c"], 4 * A)


def test_types_and_data_that_are_not_there(tmp_path: Path, selector: str) -> None:
    text = HEAD + """graph g( f ) -> ( n, was )
{
    f = external<logical>(shape = [5]);
    seen = variable<logical>(shape = [5], label = 'seen');
    steps = variable<integer>(shape = [], label = 'steps');
    last = variable<integer>(shape = [], label = 'last');
    n = update(seen, seen || f);
    was = update(last, steps);
}
"""
    path = save(tmp_path / "m", text, steps=np.array(2**40))
    with nnef_cl.load(path, device=selector) as session:
        assert [w for w in session.source_graph.warnings if "begins with zeros" in w]
        for k in (1, 3):
            session(np.arange(5) == k)
        assert {name: array.dtype.name for name, array in session.state.items()} == {"seen": "bool", "last": "int64"}
        np.testing.assert_array_equal(session.state["seen"], [False, True, False, True, False])
        assert session.state["last"] == 2**40
    with pytest.raises(ModelError, match=r"no file 'seen\.dat' for variable 'seen'"):
        nnef_cl.load(path, device=selector, dialect="strict")


def test_an_updated_filter(tmp_path: Path, selector: str) -> None:
    """It is no constant: neither folded nor packed."""
    text = HEAD + """graph g( x ) -> ( y )
{
    x = external(shape = [1, 4, 9, 9]);
    w = variable(shape = [16, 4, 3, 3], label = 'w');
    s = variable(shape = [1, 16, 1, 1], label = 's');
    v = sqr(w) + 1.0;
    c = conv(x, v, padding = [(1, 1), (1, 1)]);
    y = relu(c * s + s);
    w2 = update(w, w * 0.5);
    s2 = update(s, s + 1.0);
}
"""
    rng = np.random.default_rng(5)
    w, s, x = (rng.standard_normal(shape, np.float32) for shape in ((16, 4, 3, 3), (1, 16, 1, 1), (1, 4, 9, 9)))
    fixed = text.replace("w2 = update(w, w * 0.5);", "").replace("s2 = update(s, s + 1.0);", "")
    with nnef_cl.load(save(tmp_path / "m", text, w=w, s=s), device=selector) as session:
        for k in range(3):
            other = save(tmp_path / f"f{k}", fixed, w=w * np.float32(0.5) ** k, s=s + k)
            with nnef_cl.load(other, device=selector) as expected:
                np.testing.assert_allclose(session(x), expected(x), rtol=1e-4, atol=1e-4)


def test_setting(counter: Path, selector: str) -> None:
    with nnef_cl.load(counter, device=selector) as session:
        session.state["net/a"] = 5 * A.astype(np.float64)
        np.testing.assert_array_equal(session(ONE), 5 * A + 1)
        session.state["a"] = [[0, 0, 0]]
        np.testing.assert_array_equal(session(ONE), ONE)
        before = session.state["a"]
        for wrong, message in (
            (A[0], r"variable 'a': expected shape \[1, 3\], got \[3\]"),
            (A * 1j, r"variable 'a': expected float32 \(scalar\), got complex"),
            ([[1], [2, 3]], "variable 'a': not an array"),
        ):
            with pytest.raises(InputError, match=message):
                session.state["a"] = wrong
        with pytest.raises(InputError, match=r"no variable 'net/b'; did you mean 'net/a'\?"):
            session.state["net/b"] = A
        with pytest.raises(InputError, match="cannot be removed"):
            del session.state["net/a"]
        np.testing.assert_array_equal(session.state["a"], before)
        assert list(session.state) == ["net/a"] and "x" not in session.state
    with pytest.raises(DeviceError, match="closed"):
        session.state["a"]


def test_a_run_that_fails_changes_nothing(counter: Path, selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with nnef_cl.load(counter, device=selector) as session:
        session(ONE)
        with pytest.raises(InputError):
            session(A[0])

        def fail(*_: object) -> None:
            raise DeviceError("no reading today")

        with monkeypatch.context() as patched, pytest.raises(DeviceError, match="today"):
            patched.setattr(Queue, "read", fail)
            patched.setattr(Queue, "finish", fail)
            session(ONE)
        np.testing.assert_array_equal(session.state["a"], A + 1)
        np.testing.assert_array_equal(session(ONE), A + 2)


def test_threads_count_together(counter: Path, selector: str) -> None:
    with nnef_cl.load(counter, device=selector) as session:
        threads = [threading.Thread(target=lambda: [session(ONE) for _ in range(25)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        np.testing.assert_array_equal(session.state["a"], A + 100)


def test_measuring_restores(counter: Path, selector: str) -> None:
    with nnef_cl.load(counter, device=selector, profile=True) as session:
        session(ONE)
        with session.state_kept():
            session(ONE)
        session.step_seconds()
        np.testing.assert_array_equal(session.state["a"], A + 1)
    seen: list[np.ndarray] = []

    def inputs(session: nnef_cl.Session) -> dict[str, np.ndarray]:
        session.state["a"] = 0 * A
        return {"x": ONE}

    class Watched(nnef_cl.Session):
        def close(self) -> None:
            seen.append(self.state["a"])
            super().close()

    def open_session(profile: bool) -> nnef_cl.Session:
        session = nnef_cl.load(counter, device=selector, profile=profile)
        session.__class__ = Watched
        return session

    bench.measure(open_session, inputs, iterations=2, seconds=0, warmup=2)
    assert len(seen) == 2
    for array in seen:
        np.testing.assert_array_equal(array, A)


@pytest.mark.parametrize("name", ["saved", "saved.tgz", "saved.tar"])
def test_saving(counter: Path, tmp_path: Path, selector: str, name: str) -> None:
    target = tmp_path / name
    with nnef_cl.load(counter, device=selector) as session:
        session(ONE)
        session.save(target)
        session(ONE)
        session.save(target)
        np.testing.assert_array_equal(session.state["a"], A + 2)
    with open_container(target) as container:
        assert container.read_text("graph.nnef") == COUNTER.encode()
        np.testing.assert_array_equal(read_tensor_file(container.open_tensor("net/a")).array, A + 2)
    with nnef_cl.load(target, device=selector) as session:
        np.testing.assert_array_equal(session(ONE), A + 3)
        session.save(target)
        session.save(target)
    with nnef_cl.load(target, device=selector) as session:
        np.testing.assert_array_equal(session.state["a"], A + 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter", name]


def test_what_is_not_overwritten(counter: Path, tmp_path: Path, selector: str) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "important.txt").write_text("mine")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.dat").write_bytes(b"mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "file.tgz").write_text("mine")
    (tmp_path / "folder.tgz").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with nnef_cl.load(counter, device=selector) as session:
        for name, message in (
            ("notes", "important.txt"), ("data", "no graph.nnef"), ("file", "is a file"), ("file.tgz", "not a model"),
            ("folder.tgz", "is a folder"), ("nowhere/m", "cannot be written"), ("file/m", "cannot be written"),
        ):  # fmt: skip
            with pytest.raises(Error, match=message):
                session.save(tmp_path / name)
        (counter / "graph.nnef").write_text(COUNTER + "# changed\n")
        with pytest.raises(Error, match="has changed"):
            session.save(tmp_path / "new")
    assert sorted(tmp_path.rglob("*")) == before


def test_updates_are_checked(tmp_path: Path, selector: str) -> None:
    for body, message in (
        ("n = update(x, a);", r"update 'n': 'x' is not a variable"),
        ("n = update(a, b); m = update(n, b);", "'n' is not a variable"),
        ("n = update(update(a, b), x);", "is not a variable"),
        ("n = update(a, b); m = update(a, x);", "updated in line 7 already"),
        ("n = update(a, reshape(b, shape = [3, 1]));", r"expected a value of the variable's shape \[1,3\], got \[3,1\]"),
        ("n = update(a, 1.0);", r"shape \[1,3\], got \[\]"),
        ("n = update(a, a < b);", "mix"),
        ("n = update(1.0, 1.0);", "is not a variable"),
        ("n = update(a);", "argument 'value' is missing"),
    ):
        with pytest.raises(ModelError, match=message):
            nnef_cl.load(save(tmp_path / "m", graph(body, "n"), a=A, b=B), device=selector)
    inside = graph("n = f(a, b);", "n").replace("graph g", (
        "extension KHR_enable_fragment_definitions;\n"
        "fragment f( v: tensor<scalar>, w: tensor<scalar> ) -> ( y: tensor<scalar> ) { y = update(v, w); }\ngraph g"
    ))  # fmt: skip
    with pytest.raises(ModelError, match="in the graph only, not in a fragment"):
        nnef_cl.load(save(tmp_path / "m", inside, a=A, b=B), device=selector)
