"""Whatever a judge answers or however it breaks, a record passes only on one sound verdict of its own."""

from typing import Any

import pytest
from benchmarks.judges_fail_open import OnePage
from checking import OTHER, Judge, judged
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.errors import AnswerUnusable, OracleRefused
from castalia.quality.check import GroupCheck
from castalia.quality.checks.consistency import CONSISTENCY
from castalia.quality.checks.facts import FACTS
from castalia.quality.checks.policy import POLICY
from castalia.quality.verify import VerifyParams
from castalia.quality.view import view_record
from castalia.records import RELEASING
from small_world import document, sft

VIEW = view_record(sft(), "sft")
JUDGES = (CONSISTENCY, FACTS, POLICY)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["pass", "fail", VIEW.label, "other.html:1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["verdicts", "records", "record", "outcome", "reason", "blocks", "claims"]), inner, max_size=4)
    ),
    max_leaves=12,
)
LABELS = st.sampled_from([VIEW.label, VIEW.label, "sft:sft/9", ""])
VERDICTS = st.builds(
    lambda record, outcome, reason, blocks: {"record": record, "outcome": outcome, "reason": reason, "blocks": blocks},
    LABELS,
    st.sampled_from(["pass", "flag", "fail"]),
    st.sampled_from(["fine", "P2: unescaped", "P99: made up"]),
    st.lists(st.sampled_from(["brew.html:1", "brew.html:2"]), max_size=1),
)
CLAIMS = st.builds(
    lambda verdict, passages, quotes: {
        "claim": CLAIM,
        "verdict": verdict,
        "passages": passages,
        "quotes": quotes,
    },
    st.sampled_from(["supported", "supported", "not_enough", "refuted"]),
    st.lists(st.sampled_from(["other.html:1", "brew.html:1"]), max_size=2),
    st.lists(st.sampled_from(["two minutes", "an hour", ""]), max_size=2),
)
TAKEN_APART = st.builds(lambda record, claims: {"record": record, "claims": claims}, LABELS, st.lists(CLAIMS, max_size=3))


CLAIM, WORDS = "Green tea steeps for two minutes.", "give their best after two minutes"
WRITTEN = st.builds(
    lambda text, search, more: {"text": text, "search": search, **more},
    st.sampled_from([CLAIM, CLAIM, "Elephants sleep standing up most nights.", "It is so.", ""]),
    st.sampled_from(["green tea", "green tea", ""]),
    st.sampled_from([{}, {}, {"sure": True}]),
)
NUMBERED = st.builds(
    lambda claim, verdict, passages, quotes: {"claim": claim, "verdict": verdict, "passages": passages, "quotes": quotes},
    st.sampled_from(["1", "1", "2", CLAIM]),
    st.sampled_from(["supported", "supported", "not_enough", "refuted"]),
    st.sampled_from([["board.html:0"], ["board.html:0"], ["nowhere:1"], []]),
    st.sampled_from([[WORDS], [WORDS], ["an hour in the pot"], []]),
)


class Asked(Judge):
    """Answers both questions of a judge that sources are searched for."""

    def __init__(self, claims: Any, facts: Any):
        super().__init__()
        self.answers = {"claims": claims, "facts": facts}

    async def ask(self, *arguments: Any, task: Any, **more: Any) -> Any:
        self.answer = self.answers[task.prompt]
        self.error = self.answer if isinstance(self.answer, Exception) else None
        return await super().ask(*arguments, task=task, **more)


def outcome(check: GroupCheck, judge: Judge) -> str:
    return judged(check, [VIEW], judge, documents=(document(), OTHER))[VIEW.label].outcome


def searched(claims: Any, facts: Any) -> str:
    """The outcome where sources are searched: what the judge says to the first question, and to the second."""
    params = VerifyParams(search=("found",))
    found = judged(FACTS, [VIEW], Asked(claims, facts), documents=(document(),), services={"web": OnePage()}, params=params)
    return found[VIEW.label].outcome


SOUND = {"claims": [{"text": CLAIM, "search": "green tea"}]}
SUPPORTED = {"claim": "1", "verdict": "supported", "passages": ["board.html:0"], "quotes": [WORDS]}


def of_view(*claims: Any) -> Any:
    return {"records": [{"record": VIEW.label, "claims": list(claims)}]}


@settings(max_examples=60, deadline=None)
@given(answer=JSON)
def test_with_search_no_answer_of_another_shape_lets_a_record_through(answer: Any):
    assert searched(answer, of_view(SUPPORTED)) not in RELEASING
    assert searched(SOUND, answer) not in RELEASING


@pytest.mark.parametrize("error", [AnswerUnusable("nonsense"), OracleRefused("401")], ids=type)
def test_with_search_no_error_of_the_oracle_lets_a_record_through(error: Exception):
    assert searched(SOUND, of_view(SUPPORTED)) == "pass"
    assert searched(error, of_view(SUPPORTED)) not in RELEASING
    assert searched(SOUND, error) not in RELEASING


@settings(max_examples=100, deadline=None)
@given(claims=st.lists(WRITTEN, max_size=2), said=st.lists(NUMBERED, max_size=2))
def test_with_search_facts_pass_only_where_every_claim_of_the_record_rests_on_words_of_a_source(claims: list[Any], said: list[Any]):
    own = bool(claims) and all(claim == SOUND["claims"][0] for claim in claims)
    numbers = {str(number) for number, _ in enumerate(claims, 1)}
    answered = bool(said) and {claim["claim"] for claim in said} == numbers
    sound = all(claim["passages"] == ["board.html:0"] and claim["quotes"] == [WORDS] for claim in said)
    found = searched({"claims": claims}, of_view(*said))
    assert (found == "pass") == (own and answered and sound and all(claim["verdict"] == "supported" for claim in said))
    assert found not in RELEASING or (own and answered and all(claim["verdict"] != "refuted" for claim in said))


@pytest.mark.parametrize("check", JUDGES, ids=lambda check: check.name)
@settings(max_examples=60, deadline=None)
@given(answer=JSON)
def test_no_answer_of_another_shape_lets_a_record_through(check: GroupCheck, answer: Any):
    assert outcome(check, Judge(answer)) not in RELEASING


@pytest.mark.parametrize("check", JUDGES, ids=lambda check: check.name)
@pytest.mark.parametrize("error", [AnswerUnusable("nonsense"), OracleRefused("401")], ids=type)
def test_no_error_of_the_oracle_lets_a_record_through(check: GroupCheck, error: Exception):
    assert outcome(check, Judge(error=error)) not in RELEASING


@settings(max_examples=150, deadline=None)
@given(verdicts=st.lists(VERDICTS, max_size=3))
def test_policy_lets_through_only_on_one_verdict_without_blocks_and_by_a_known_rule(verdicts: list[Any]):
    mine = [verdict for verdict in verdicts if verdict["record"] == VIEW.label]
    sound = len(mine) == 1 and not mine[0]["blocks"]
    passes = sound and (mine[0]["outcome"] == "pass" or (mine[0]["outcome"] == "flag" and mine[0]["reason"].startswith("P2")))
    assert (outcome(POLICY, Judge({"verdicts": verdicts})) in RELEASING) == passes


@settings(max_examples=200, deadline=None)
@given(records=st.lists(TAKEN_APART, max_size=3))
def test_facts_pass_only_where_every_claim_rests_on_words_of_another_page(records: list[Any]):
    mine = [record for record in records if record["record"] == VIEW.label]
    claims = mine[0]["claims"] if len(mine) == 1 else []
    earned = bool(claims) and all(
        claim["verdict"] == "supported" and set(claim["passages"]) == {"other.html:1"} and set(claim["quotes"]) == {"two minutes"}
        for claim in claims
    )
    found = outcome(FACTS, Judge({"records": records}))
    assert (found == "pass") == earned
    assert found not in RELEASING or (claims and all(claim["verdict"] != "refuted" for claim in claims))
