"""A model's tool calls, one after the other, on one working folder."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.sandbox import TOOLS, Limits, Sandbox, ToolResult, ToolSession


def run(session: ToolSession, code: str) -> tuple[str, bool]:
    return tuple(session.call("run_python", json.dumps({"code": code})))  # type: ignore[return-value]


def test_files_last_from_call_to_call(sandbox: Sandbox) -> None:
    session = ToolSession(sandbox, files={"seed.txt": "start"})
    assert session.call("write_file", '{"path": "data/numbers.txt", "content": "1\\n2\\n"}') == ("wrote 4 bytes to data/numbers.txt", True)
    assert run(session, "print(sum(map(int, open('data/numbers.txt'))))\nopen('out.txt', 'w').write('3')") == ("3", True)
    assert session.call("functions.read_file", '{"path": "./out.txt"}') == ("3", True)
    run(session, "import os; os.remove('seed.txt')")
    assert session.files() == {"data/numbers.txt": "1\n2\n", "out.txt": "3"}


def test_what_a_call_says_is_the_same_every_time_and_names_no_place_of_the_host(sandbox: Sandbox) -> None:
    code = "import json, os\nprint(object(), hash('x'), {'b', 'a', 'c'})\nprint(os.getcwd(), json.__file__)\njson.loads('{')"
    first, ok = run(ToolSession(sandbox), code)
    assert not ok
    assert run(ToolSession(sandbox), code) == (first, False)
    assert "object at 0x0" in first
    assert "/work /python/lib" in first
    assert "JSONDecodeError" in first
    assert "castalia-sandbox" not in first


def test_numbers_in_hexadecimal_are_told_as_they_were_printed(sandbox: Sandbox) -> None:
    assert run(ToolSession(sandbox), "print(hex(16777215), [object()])") == ("0xffffff [<object object at 0x0>]", True)


def test_a_pipe_closed_early_makes_no_noise(sandbox: Sandbox) -> None:
    said = ToolSession(sandbox).call("run_shell", json.dumps({"command": "seq 100000 | head -n 1"}))
    assert said == ("1", True)


def test_a_folder_that_can_not_be_read_hides_no_file_beside_it(sandbox: Sandbox) -> None:
    session = ToolSession(sandbox)
    said, _ = run(session, "import os\nos.mkdir('a', 0o300)\nos.mkdir('empty')\nopen('b', 'w').write('kept')")
    assert session.files() == {"b": "kept"}
    assert "not returned" in said
    assert "'empty/'" in said


def test_trouble_is_told_to_the_model(sandbox: Sandbox) -> None:
    hasty = ToolSession(sandbox, limits=Limits(seconds=0.5, memory_mb=128, output_bytes=10_000))
    session = ToolSession(sandbox, limits=Limits(seconds=20, memory_mb=128, output_bytes=10_000))
    assert run(hasty, "while True: pass") == ("error: the program took too long and was ended", False)
    assert "used too much memory" in run(session, "x = bytearray(1 << 30)")[0]
    assert "printed too much" in run(session, "while True: print('x' * 100)")[0]
    assert run(session, "pass") == ("(no output)", True)
    assert run(session, "raise SystemExit(3)") == ("(no output, exit code 3)", False)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("delete_file", "{}", "there is no tool 'delete_file'"),
        ("read_file", "{", "not JSON"),
        ("read_file", "[]", "must be a JSON object"),
        ("read_file", '{"path": 3}', "needs 'path' as a string"),
        ("read_file", '{"path": "missing.txt"}', "no file 'missing.txt'; files: none"),
        ("read_file", '{"path": "../../etc/passwd"}', "not a path below the working folder"),
        ("write_file", '{"path": "/etc/passwd", "content": ""}', "not a path below the working folder"),
        ("write_file", '{"path": "a", "content": "", "mode": "w"}', "no argument 'mode'"),
        ("write_file", json.dumps({"path": "a" * 300, "content": ""}), "not a path below the working folder"),
        ("write_file", json.dumps({"path": "a/" * 3000 + "b", "content": ""}), "not a path below the working folder"),
        ("run_shell", '{"command": "echo \\u0000"}', "NUL character"),
        ("run_shell", '{"command": "echo \\ud800"}', "half of a surrogate pair"),
        ("run_python", "[" * 100_000, "not JSON"),
        ("run_python", json.dumps({"code": "", "k" * 100_000: ""}), "no argument"),
        ("tool" * 10_000, "{}", "there is no tool"),
    ],
)
def test_a_wrong_call_is_answered_briefly_not_raised(sandbox: Sandbox, name: str, arguments: str, says: str) -> None:
    text, ok = ToolSession(sandbox).call(name, arguments)
    assert not ok
    assert says in text
    assert len(text) < 500


def test_a_call_that_leaves_too_much_is_told_so_and_changes_nothing(sandbox: Sandbox) -> None:
    session = ToolSession(sandbox, files={"a": "x"})
    text, ok = run(session, "open('a', 'w').write('y')\nopen('big', 'wb').write(bytes(5_000_000))\nprint('written')")
    assert not ok
    assert text.startswith("written\nerror: the working folder holds at most")
    assert session.files() == {"a": "x"}


def test_what_does_not_last_until_the_next_call_is_named(sandbox: Sandbox) -> None:
    session = ToolSession(sandbox)
    assert run(session, "import os\nos.symlink('/etc', 'link')\nopen('file', 'w').close()") == ("(no output)\nnot returned: 'link'", True)
    assert session.files() == {"file": ""}


def test_a_file_can_not_become_a_folder(sandbox: Sandbox) -> None:
    session = ToolSession(sandbox, files={"a": "x"})
    assert not session.call("write_file", '{"path": "a/b", "content": "y"}').ok
    assert session.files() == {"a": "x"}


def test_every_tool_declares_its_arguments() -> None:
    assert {name: sorted(json.loads(tool.parameters)["required"]) for name, tool in TOOLS.items()} == {
        "run_python": ["code"], "run_shell": ["command"], "write_file": ["content", "path"], "read_file": ["path"],
    }  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(["write_file", "read_file", "other"]), path=st.text(max_size=12), content=st.text(max_size=12))
def test_no_file_call_raises(name: str, path: str, content: str) -> None:
    session = ToolSession(None)  # type: ignore[arg-type]  # file calls start no jail
    session.call(name, json.dumps({"path": path, "content": content}))
    session.call(name, path)
    assert all(not key.startswith("/") and ".." not in key.split("/") for key in session.files())


def test_a_shell_command_sees_the_files_leaves_its_own_and_says_how_it_failed(sandbox: Sandbox) -> None:
    session = ToolSession(sandbox, files={"names.txt": "bo\nann\n"})
    sorted_names = session.call("run_shell", json.dumps({"command": "sort names.txt | tee sorted.txt; python -c 'print(6 * 7)'"}))
    assert sorted_names == ToolResult("ann\nbo\n42", True)
    assert session.files()["sorted.txt"] == "ann\nbo\n"
    failed = session.call("run_shell", '{"command": "cat nowhere.txt"}')
    assert not failed.ok
    assert "No such file" in failed.text
    assert session.call("run_shell", '{"command": "exit 3"}') == ToolResult("(no output, exit code 3)", False)
