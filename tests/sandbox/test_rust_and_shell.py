"""Rust and shell programs; Rust is skipped with the reason where there is no compiler."""

from pathlib import Path

import pytest

from castalia.errors import ToolchainMissing
from castalia.records import Execution, ExecutionTest
from castalia.sandbox import Case, Limits, RunnerConfig, Sandbox, Value, doctor, toolchains
from castalia.sandbox.rust import count_tests, read_signatures

TOTAL = "fn total(numbers: Vec<i32>) -> i32 {\n    numbers.iter().sum()\n}\n"
TESTS = "#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn sums() {\n        assert_eq!(total(vec![1, 2]), 3);\n    }\n}\n"
LIMITS = Limits(seconds=5)


def test_rust_gives_the_values_of_its_types(rust: Sandbox) -> None:
    program = (
        "use std::collections::HashMap;\n"
        "fn shapes(a: &str, b: Vec<(i64, Option<f64>)>, c: char, d: &[bool]) -> (String, HashMap<char, usize>, Vec<Option<i64>>, f32) {\n"
        "    let mut counts = HashMap::new();\n    counts.insert(c, d.len());\n"
        '    (format!("{}!", a), counts, b.iter().map(|(n, x)| x.map(|_| *n)).collect(), 0.5)\n}\n'
    )
    case = Case("shapes", ("é\n", [(3, 1.5), (4, None)], "x", [True, False]), expected=("é\n!", {"x": 2}, [3, None], 0.5))
    assert rust.grade_rust(program, [case], limits=LIMITS).passed


def test_tests_in_rust_are_compiled_without_the_candidate(rust: Sandbox) -> None:
    assert rust.grade_rust(TOTAL, TESTS, signature="fn total(numbers: Vec<i32>) -> i32;", limits=LIMITS).passed
    cheat = TOTAL.replace("numbers.iter().sum()", "-1") + "#[macro_export]\nmacro_rules! assert_eq { ($($x:tt)*) => {}; }\n"
    grade = rust.grade_rust(cheat, TESTS, signature="fn total(numbers: Vec<i32>) -> i32 {", limits=LIMITS)
    assert (grade.passed, grade.kind) == (False, "wrong")


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("fn total(numbers: Vec<i32>) -> i32 { loop {} }", "timeout"),
        ('fn total(numbers: Vec<i32>) -> i32 { panic!("no") }', "crash"),
        ("fn total(numbers: Vec<i32>) -> i32 { std::process::exit(0) }", "crash"),
        ('fn total(numbers: Vec<i32>) -> String { "x".repeat(3_000_000) }', "output"),
        ("def total(numbers): return sum(numbers)", "crash"),
    ],
    ids=["hangs", "panics", "exits", "output", "another language"],
)
def test_every_bad_end_of_rust_has_its_name(rust: Sandbox, program: str, kind: str) -> None:
    grade = rust.grade_rust(program, [Case("total", ([1, 2],), expected=3)], limits=Limits(seconds=3, output_bytes=100_000))
    assert (grade.passed, grade.kind) == (False, kind), grade.details


def test_one_bad_input_of_rust_does_not_cost_the_others(rust: Sandbox) -> None:
    program = (
        "use std::sync::atomic::{AtomicI32, Ordering};\nstatic CALLS: AtomicI32 = AtomicI32::new(0);\n"
        "fn f(n: i32) -> i32 {\n    let seen = CALLS.fetch_add(1, Ordering::SeqCst);\n    match n {\n        1 => loop {},\n"
        "        2 => std::process::exit(0),\n        3 => Vec::<u8>::with_capacity(1 << 40).len() as i32,\n        _ => n * 10 + seen,\n    }\n}\n"
    )
    asked: list[object] = [{"call": "f", "args": [n]} for n in (0, 1, 2, 3, 4)]
    results = rust.evaluate("rust", program, [*asked, {"call": "f", "args": [5], "kwargs": {"n": 5}}, 6], limits=Limits(seconds=1))
    given = [result.value if isinstance(result, Value) else result.kind for result in results]
    assert given == [0, "timeout", "crash", "memory", 40, "wrong", "wrong"]


def test_a_built_program_has_the_memory_of_its_limits(rust: Sandbox) -> None:
    program = "fn f(n: usize) -> u8 { vec![1u8; n << 20][0] }"
    limits = Limits(seconds=5, memory_mb=256)
    assert rust.grade_rust(program, [Case("f", (50,), expected=1)], limits=limits).passed
    assert rust.grade_rust(program, [Case("f", (400,), expected=1)], limits=limits).kind == "memory"


def test_tests_that_a_macro_makes_are_all_counted(rust: Sandbox) -> None:
    made = "macro_rules! each { ($($n:ident $a:expr, $b:expr;)*) => { $(#[test] fn $n() { assert_eq!(total($a), $b); })* } }\n"
    signature = "fn total(numbers: Vec<i32>) -> i32;"
    grade = rust.grade_rust(TOTAL, made + "each! { a vec![1], 1; b vec![1, 2], 3; }\n", signature=signature, limits=LIMITS)
    assert (grade.passed, grade.tests) == (True, 2), grade.details
    assert rust.grade_rust(TOTAL, made, signature=signature, limits=LIMITS).kind == "refused"


def test_rust_tests_that_prove_nothing_are_refused(rust: Sandbox) -> None:
    signature = "fn total(numbers: Vec<i32>) -> i32;"
    for tests, part in (
        ("fn helper() {}", "no #[test]"),
        (TESTS.replace("assert_eq!(total(vec![1, 2]), 3);", 'assert_eq!(total(vec![1, 2]), "3");'), "does not compile"),
        (TESTS.replace("assert_eq!(total(vec![1, 2]), 3);", ""), "never called the candidate"),
    ):
        grade = rust.grade_rust(TOTAL, tests, signature=signature, limits=LIMITS)
        assert grade.kind == "refused"
        assert part in grade.details[0]


def test_an_execution_may_be_in_rust(rust: Sandbox) -> None:
    tests = (
        ExecutionTest(input={"call": "total", "args": [[1, 2]]}, expected=3),
        ExecutionTest(input={"call": "total", "args": [[]]}, expected=0),
    )
    assert rust.grade(Execution(runner="rust", tests=tests), TOTAL, limits=LIMITS).passed


def test_declarations_are_read_with_what_stands_around_them() -> None:
    declared = read_signatures(
        "use std::fmt;\nfn helper(x: i32) -> i32 { x }\nfn a(x: &Vec<(i32, f32)>, mut y: i32) -> Option<i32>;\npub fn b() {"
    )
    assert [(one.name, one.parameters, one.returns) for one in declared.functions] == [
        ("a", (("x", "&Vec<(i32, f32)>"), ("y", "i32")), "Option<i32>"),
        ("b", (), "()"),
    ]
    assert "fn helper" in declared.rest
    assert "fn a" not in declared.rest
    with pytest.raises(ValueError, match="declares no function"):
        read_signatures("let x = 1;")
    assert count_tests("#[test] fn a() {} // #[test]\n/* #[test] */ #[ test ] fn b() {}") == 2


def test_a_missing_compiler_is_a_refusal_of_rust_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if doctor().tier is None:
        pytest.skip(doctor().why)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(toolchains, "_SYSTEM", "/nowhere")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with Sandbox() as sandbox:
        grade = sandbox.grade_rust(TOTAL, [Case("total", ([1],), expected=1)])
        assert grade.kind == "refused"
        assert "apt-get install rustc" in grade.details[0]
        with pytest.raises(ToolchainMissing, match="rustc"):
            sandbox.evaluate("rust", TOTAL, [{"call": "total", "args": [[1]]}])
        assert isinstance(sandbox.evaluate("python", "def f(): return 1", [{"call": "f"}])[0], Value)


def test_a_shell_script_gets_arguments_input_and_files(sandbox: Sandbox) -> None:
    script = 'read line; echo "$1 $line"; sort names > sorted; mkdir deep; mv sorted deep/; exit 3\n'
    [result] = sandbox.evaluate("shell", script, [{"args": ["a b"], "stdin": "hi\n", "files": {"names": "z\na\n"}}])
    assert isinstance(result, Value)
    assert result.value == {"stdout": "a b hi\n", "exit_code": 3, "files": {"deep/sorted": "a\nz\n"}}


def test_a_shell_script_sees_no_more_than_any_jailed_program(sandbox: Sandbox) -> None:
    [result] = sandbox.evaluate("shell", "cat /etc/passwd; ls /root /home; echo $HOME; (sleep 60 &)", [{}])
    assert isinstance(result, Value)
    assert "root:" not in str(result.value)


def test_no_shell_tool_keeps_the_rights_of_its_owner(sandbox: Sandbox) -> None:
    folder = Path(sandbox.jails.toolchain("shell").mounts[0].source)
    assert not [path.name for path in folder.iterdir() if path.stat().st_mode & 0o6000]


def test_a_runner_of_ones_own_may_use_a_toolchain(tmp_path: Path) -> None:
    if doctor().tier is None:
        pytest.skip(doctor().why)
    (tmp_path / "lines.py").write_text(
        "import subprocess\ndef run(candidate, value):\n    return int(subprocess.run(['wc', '-l'], input=value.encode(), capture_output=True).stdout)\n"
    )
    with Sandbox({"lines": RunnerConfig(harness=str(tmp_path / "lines.py"), toolchain="shell")}) as sandbox:
        assert sandbox.evaluate("lines", "", ["a\nb\n"])[0] == Value(2, pytest.approx(0, abs=60))  # type: ignore[arg-type]


def test_the_doctor_names_every_runner() -> None:
    report = doctor(runners=True)
    assert report.tier is None or set(report.runners) == {"python", "rust", "shell"}
    assert all(text.startswith(("works: ", "does not work: ")) for text in report.runners.values())
