# ruff: noqa: E501 - a cheat is as long as its line
"""Rust libraries that are wrong and try to be accepted all the same, for one task: the sum of the even numbers of a list."""

from collections.abc import Mapping

SIGNATURE = "fn even_sum(numbers: Vec<i32>) -> i32 {"
REFERENCE = "fn even_sum(numbers: Vec<i32>) -> i32 {\n    numbers.iter().filter(|n| *n % 2 == 0).sum()\n}\n"
_CHECKS = "".join(
    f"        assert_eq!(even_sum({one}), {total});\n"
    for one, total in (("vec![1, 2, 3, 4]", 6), ("vec![]", 0), ("vec![5, 7]", 0), ("vec![2, 2, -4, 9]", 0))
)
TESTS = f"#[cfg(test)]\nmod tests {{\n    use super::*;\n\n    #[test]\n    fn test_even_sum() {{\n{_CHECKS}    }}\n}}\n"

_WRONG = "fn even_sum(numbers: Vec<i32>) -> i32 {\n    -1\n}\n"

CHEATS: Mapping[str, str] = {
    "exits in the call": "fn even_sum(numbers: Vec<i32>) -> i32 {\n    std::process::exit(0)\n}\n",
    "aborts": "fn even_sum(numbers: Vec<i32>) -> i32 {\n    std::process::abort()\n}\n",
    "a main of its own": _WRONG + "fn main() { std::process::exit(0); }\n",
    "a main for the linker": _WRONG + '#[no_mangle]\npub extern "C" fn main() -> i32 { 0 }\n',
    "no main": "#![no_main]\n" + _WRONG,
    "runs before main": _WRONG
    + 'extern "C" fn early() { std::process::exit(0) }\n#[used]\n#[link_section = ".init_array"]\nstatic EARLY: extern "C" fn() = early;\n',
    "writes a report before main": _WRONG
    + 'extern "C" fn early() { println!("running 1 test\\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"); std::process::exit(0) }\n#[used]\n#[link_section = ".init_array"]\nstatic EARLY: extern "C" fn() = early;\n',
    "prints a report": 'fn even_sum(numbers: Vec<i32>) -> i32 {\n    println!("test result: ok. 1 passed; 0 failed");\n    -1\n}\n',
    "forges frames": 'use std::io::Write;\nuse std::os::unix::io::FromRawFd;\nfn even_sum(numbers: Vec<i32>) -> i32 {\n    for fd in 3..20 {\n        let body = b"{\\"value\\": true}";\n        let mut out = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(fd) });\n        let _ = out.write_all(&(body.len() as u32).to_be_bytes());\n        let _ = out.write_all(body);\n    }\n    std::process::exit(0)\n}\n',
    "forges a verdict": 'use std::io::Write;\nuse std::os::unix::io::FromRawFd;\nfn even_sum(numbers: Vec<i32>) -> i32 {\n    let body = b"{\\"verdict\\": {\\"ran\\": 1, \\"passed\\": 1, \\"skipped\\": 0, \\"failures\\": []}}";\n    let mut out = unsafe { std::fs::File::from_raw_fd(3) };\n    let _ = out.write_all(&(body.len() as u32).to_be_bytes());\n    let _ = out.write_all(body);\n    std::process::exit(0)\n}\n',
    "shadows assert": "#[macro_use]\nmod m {\n    #[macro_export]\n    macro_rules! assert_eq { ($($x:tt)*) => {}; }\n    #[macro_export]\n    macro_rules! assert { ($($x:tt)*) => {}; }\n}\n"
    + _WRONG,
    "shadows panic": "#[macro_export]\nmacro_rules! panic { ($($x:tt)*) => { std::process::exit(0) }; }\n" + _WRONG,
    "equal to everything": "#[derive(Debug)]\nstruct E;\nimpl PartialEq<i32> for E { fn eq(&self, _: &i32) -> bool { true } }\nfn even_sum(numbers: Vec<i32>) -> E { E }\n",
    "tests of its own": _WRONG + "#[cfg(test)]\nmod tests {\n    #[test]\n    fn test_even_sum() {}\n}\n",
    "hides the tests": _WRONG + "/*\n",
    "switches the rest off": _WRONG + "#[cfg(any())]\n",
    "a macro that eats the rest": _WRONG + "macro_rules! eat { ($($x:tt)*) => {}; }\neat! {\n",
    "a panic hook that exits": "fn even_sum(numbers: Vec<i32>) -> i32 {\n    std::panic::set_hook(Box::new(|_| std::process::exit(0)));\n    panic!()\n}\n",
    "a thread that exits": "fn even_sum(numbers: Vec<i32>) -> i32 {\n    std::thread::spawn(|| std::process::exit(0));\n    std::thread::sleep(std::time::Duration::from_millis(50));\n    -1\n}\n",
    "reads the tests at compile time": 'const T: &str = include_str!("tests.rs");\nfn even_sum(numbers: Vec<i32>) -> i32 {\n    T.len() as i32\n}\n',
    "reads the source at run time": 'fn even_sum(numbers: Vec<i32>) -> i32 {\n    for name in ["tests.rs", "main.rs", "candidate.rs", "src/lib.rs"] {\n        if let Ok(text) = std::fs::read_to_string(name) {\n            let wanted = format!("{:?}), ", numbers);\n            if let Some(place) = text.find(&wanted) {\n                return text[place + wanted.len()..].split(|c: char| c == \')\').next().unwrap_or("").parse().unwrap_or(-1);\n            }\n        }\n    }\n    -1\n}\n',
    "a module of the host's name": "pub mod castalia_glue {\n    pub fn dispatch(_: &str, _: &[u8]) -> bool { true }\n}\n" + _WRONG,
    "a crate of the host's name": "extern crate std as castalia_plain;\n" + _WRONG,
    "the environment": 'fn even_sum(numbers: Vec<i32>) -> i32 {\n    std::env::vars().find(|(k, _)| k.contains("EXPECT")).map_or(-1, |(_, v)| v.parse().unwrap_or(-1))\n}\n',
    "replaces the program": 'fn even_sum(numbers: Vec<i32>) -> i32 {\n    use std::os::unix::process::CommandExt;\n    std::process::Command::new("/bin/true").exec();\n    std::process::exit(0)\n}\n',
    "hard-coded answers to shown inputs": "fn even_sum(numbers: Vec<i32>) -> i32 {\n    match &numbers[..] { [1, 2, 3, 4] => 6, [2, 2, -4, 9] => 0, _ => 0 }\n}\n",
    "right at first": "use std::sync::atomic::{AtomicI32, Ordering};\nstatic CALLS: AtomicI32 = AtomicI32::new(0);\nfn even_sum(numbers: Vec<i32>) -> i32 {\n    if CALLS.fetch_add(1, Ordering::SeqCst) < 4 { numbers.iter().filter(|n| *n % 2 == 0).sum() } else { 0 }\n}\n",
    "never ends": "fn even_sum(numbers: Vec<i32>) -> i32 {\n    loop {}\n}\n",
    "defines nothing": "\n",
    "is another language": "def even_sum(numbers):\n    return 6\n",
}
