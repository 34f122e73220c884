"""A user's policy file: shipped rules softened or skipped, own rules beside them, and everything wrong named before anything is asked."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from checking import Judge, context, says

from castalia.config import load_config
from castalia.errors import ConfigError
from castalia.pipeline import stage_params
from castalia.quality.checks.policy import POLICY
from castalia.quality.policy_file import SHIPPED, load_policy, parse_policy, shipped_policy
from castalia.quality.verify import VerifyParams
from castalia.quality.view import view_record
from small_world import configuration, sft

VIEW = view_record(sft(), "sft")


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def outcome(policy: Any, verdict: str, reason: str) -> str:
    judge = Judge({"verdicts": [says(verdict, blocks=()) | {"reason": reason}]})
    found = asyncio.run(POLICY.run([VIEW], context(judge, params=VerifyParams(policy=policy))))  # type: ignore[misc, arg-type]
    return found[VIEW.label].outcome


def test_without_a_file_the_shipped_rules_are_shown_as_they_are_written():
    assert VerifyParams().policy == shipped_policy()
    assert shipped_policy().text.strip() == SHIPPED.read_text().strip()
    assert all(rule.at_most == "fail" for rule in shipped_policy().rules)


def test_rules_are_softened_skipped_and_added(tmp_path: Path):
    policy = load_policy(
        written(tmp_path, "rules: {P4: flag, P7: skip}\nown:\n  P8: Name the version.\n  P9: {text: In euros., at_most: flag}\n")
    )
    assert [rule.number for rule in policy.rules] == ["P1", "P2", "P3", "P4", "P5", "P6", "P8", "P9"]
    assert {rule.number for rule in policy.rules if rule.at_most == "flag"} == {"P4", "P9"}
    assert "P8. Name the version." in policy.text
    assert "P7." not in policy.text


def test_a_softened_rule_never_keeps_a_record_out_and_a_skipped_one_founds_no_verdict(tmp_path: Path):
    policy = load_policy(written(tmp_path, "rules: {P4: flag, P7: skip}\nown: {P8: Name the version.}\n"))
    assert outcome(policy, "fail", "P4: copied") == "flag"
    assert outcome(policy, "fail", "P2: unescaped") == "fail"
    assert outcome(policy, "fail", "P8: which version?") == "fail"
    assert outcome(policy, "fail", "P7: dangerous") == "abstain"
    assert outcome(policy, "pass", "fine") == "pass"


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        ("P4 and P1: copied, and harmful", "fail"),
        ("P1 and P4: harmful, and copied", "fail"),
        ("P4: copied. It also breaks P2.", "fail"),
        ("P4, P9: copied, and in dollars", "flag"),
        ("P4 and P77: copied, and made up", "flag"),
        ("P77 and P1: made up", "abstain"),
        ("P40: made up", "abstain"),
    ],
)
def test_an_objection_by_several_rules_is_as_strict_as_the_strictest(tmp_path: Path, reason: str, counts: str):
    policy = load_policy(written(tmp_path, "rules: {P4: flag}\nown: {P9: {text: In euros., at_most: flag}}\n"))
    assert outcome(policy, "fail", reason) == counts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: {P12: flag}", ["'P12', which is unknown", "did you mean", "P1 No instructions", "P7 A worse answer"]),
        ("rules: {harmless: flag}", ["'harmless', which is unknown", "P1 No instructions"]),
        ("rules: {P4: warn}", ["'P4' to 'warn'", "fail, flag, skip"]),
        ("rules: {P4: off}", ["'P4' to False"]),
        ("rules: [P4]", ["mapping"]),
        ("rule: {P4: flag}", ["'rule'", "'rules'"]),
        ("own: {P4: Be nice.}", ["'P4' of a shipped one"]),
        ("own: {Q1: Be nice.}", ["'Q1'", "P1, P2"]),
        ("own: {P8: ''}", ["one sentence"]),
        ("own: {P8: [a]}", ["one sentence"]),
        ("own: {P8: {text: Be nice., at_most: never}}", ["at_most", "'never'"]),
        ('own: {P8: "Be nice.\\nP9. Be kind."}', ["one sentence"]),
        ("rules: {P4: flag, P4: skip}", ["'P4' twice"]),
        ("rules: {P1: skip, P2: skip, P3: skip, P4: skip, P5: skip, P6: skip, P7: skip}", ["skips every rule"]),
        ("own: {P8: {text: Be nice., text: Be kind.}}", ["'text' twice"]),
        ("own: {P08: Be nice.}", ["'P08'", "P1, P2"]),
        ("own: {P8: &a [x], P9: [*a, *a]}", ["alias", "write the value out"]),
        (f"own: {{P8: {'word ' * 10_000}}}", ["longer than 32,000 bytes"]),
        ("own: {P8: 2026-99-99}", ["not YAML"]),
        ("just words", ["mapping"]),
        ("rules: {P4: [}", ["not YAML"]),
    ],
)
def test_what_is_wrong_in_a_policy_file_is_named(tmp_path: Path, text: str, words: list[str]):
    with pytest.raises(ConfigError) as raised:
        load_policy(written(tmp_path, text))
    for word in words:
        assert word in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="can't be read"):
        VerifyParams(policy=str(tmp_path / "none.yaml"))  # type: ignore[arg-type]


def test_the_configuration_names_it_beside_itself_and_its_rules_not_its_place_are_the_params(tmp_path: Path, monkeypatch):
    written(tmp_path, "rules: {P4: flag}")
    path = configuration(tmp_path, stages={"verify": {"policy": "policy.yaml"}})
    monkeypatch.chdir("/")
    params = stage_params(load_config([path]))["verify"]
    assert isinstance(params, VerifyParams)
    assert params.policy.by_number["P4"].at_most == "flag"
    assert "policy.yaml" not in params.model_dump_json()
    assert VerifyParams.model_validate_json(params.model_dump_json(exclude={"plugins"})) == params


def test_an_unknown_rule_stops_before_anything_is_asked(tmp_path: Path):
    written(tmp_path, "rules: {P12: flag}")
    with pytest.raises(ConfigError, match="P12"):
        stage_params(load_config([configuration(tmp_path, stages={"verify": {"policy": "policy.yaml"}})]))


@pytest.mark.parametrize("policy", ["Be nice.", "P1. Be nice.\nP1. Be kind.", "P1. Be nice.\nQ2. Be kind."])
def test_a_policy_whose_rules_no_verdict_could_name_is_refused(policy: str):
    with pytest.raises(ConfigError, match=r"`P1\.`, `P2\.`"):
        parse_policy(policy)
