import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from castalia.errors import ConfigError, SandboxUnavailable, TrainingRefused  # noqa: E402
from castalia.harmony import Style, foreign_vocabulary, parse_completion, render_prompt  # noqa: E402
from castalia.records import (  # noqa: E402
    Candidate,
    Check,
    Conversation,
    Execution,
    ExecutionTest,
    Message,
    PreferencePair,
    ReplayItem,
    RewardRecord,
    SFTExample,
    ask_user,
)
from castalia.training import (  # noqa: E402
    ConsolidateSettings,
    GrpoSettings,
    PreferenceSettings,
    Recipe,
    SftSettings,
    consolidate,
    grpo,
    preference,
    sft,
)
from castalia.training.data import preference_pairs  # noqa: E402
from castalia.training.job import read_records, write_records  # noqa: E402
from castalia.training.models import added_rows, load_model, load_tokenizer  # noqa: E402
from castalia.training.pipeline import StageCheck, best_model, train  # noqa: E402
from castalia.training.process import main  # noqa: E402
from castalia.training.rewards import Scored, checks, combine, record_terms, score_completion  # noqa: E402
from castalia.training.stage import StageResult, prepare, read_metrics  # noqa: E402
from train_here import run_here  # noqa: E402

STYLE = Style(preamble="none")
PLACE = {"section": "s", "category": "skills", "node": "skills/x"}


def pair(number):
    good, bad = Candidate(level="strong", text=f"Yes {number}."), Candidate(level="hasty", text=f"No {number}, never.")
    return PreferencePair(
        subject=f"s/pref/{number}",
        prompt=ask_user(f"Is it {number}?"),
        chosen=good,
        rejected=bad,
        ranking=(good, bad),
        decided_by="execution",
        margin=10,
        **PLACE,
    )


def reward(number, check=None, tools=()):
    return RewardRecord(
        subject=f"s/reward/{number}",
        prompt=ask_user(f"Say {number}.", tools=tools),
        check=check or Check(kind="contains", expected=("a",)),
        reference="a",
        answers=(),
        formula="",
        **PLACE,
    )


def conversation(question, answer):
    return Conversation(messages=(*ask_user(question).messages, Message(role="assistant", channel="final", content=answer)))


def replay(number):
    return ReplayItem(
        subject=f"x/dev/{number}",
        category="skills",
        node="skills/x",
        wrong="?",
        failure_type="format",
        conversation=conversation(f"What about {number}?", f"It is {number}."),
        check=Check(kind="exact", expected=("x",)),
        practise="It.",
        weight=1.0,
    )


def sft_example(number):
    talk = conversation(f"Why {number}?", f"Because {number}.")
    return SFTExample(subject=f"s/{number}", kind="grounded-answer", difficulty="easy", conversation=talk, evidence=(), atoms=(), **PLACE)


def recipe(**stages):
    return Recipe(name="t", style=STYLE, precision="fp32", **stages)


@pytest.mark.parametrize("loss", ["ipo", "dpo"])
def test_preference_moves_the_margin_towards_the_chosen_answers(base, tmp_path, loss):
    settings = PreferenceSettings(loss=loss, epochs=6, batch_size=4, learning_rate=1e-2, embeddings="all", checkpoint_seconds=None)
    result = preference.run(recipe(preference=settings), [pair(n) for n in range(4)], base, tmp_path / "p", start_id="b")
    lines = read_metrics(tmp_path / "p")
    assert lines[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert result.margin > 0.01
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_a_pair_is_trained_on_what_the_model_would_sample(base):
    vocabulary = foreign_vocabulary(load_tokenizer(base))
    one = preference_pairs([pair(1)], vocabulary, STYLE, max_length=400).samples[0]
    assert one.prompt == render_prompt(pair(1).prompt, vocabulary, STYLE)
    assert parse_completion(one.chosen, vocabulary, finished=True).final == "Yes 1."
    assert one.rejected[-1] == vocabulary.special["<|return|>"]


def test_records_of_the_wrong_kind_are_refused(base):
    with pytest.raises(TrainingRefused, match="PreferencePair"):
        preference_pairs([reward(1)], foreign_vocabulary(load_tokenizer(base)), STYLE, max_length=400)


def test_grpo_samples_groups_scores_ids_and_records_every_term(base, tmp_path):
    asked = []

    def scorer(record, answer, step):
        asked.append(answer)
        return Scored(0.5, "half")

    settings = GrpoSettings(epochs=1, batch_size=4, generations=2, max_completion=6, learning_rate=1e-3, checkpoint_seconds=None)
    result = grpo.run(recipe(grpo=settings), [reward(n) for n in range(4)], base, tmp_path / "g", scorer=scorer, start_id="b")
    terms = [json.loads(line) for line in (tmp_path / "g" / "rewards.jsonl").read_text().splitlines()]
    assert result.steps == 2
    assert len(terms) == 8
    assert {term["record"] for term in terms} == {reward(n).id for n in range(4)}
    assert all(term["tokens"] <= 6 for term in terms)
    assert all(term["reward"] == (0.0 if term["format"] == 0 else pytest.approx(0.55)) for term in terms)
    assert len(asked) == sum(term["format"] for term in terms)


def test_a_resumed_run_records_the_rewards_of_a_step_once(base, tmp_path):
    vocabulary, settings = foreign_vocabulary(load_tokenizer(base)), {"epochs": 1}

    def sampled(step):
        return score_completion(
            reward(step), [5], vocabulary, lambda record, answer, step: Scored(1.0, "é"), finished=False, floor=0.1, step=step
        )

    out = tmp_path / "g"
    assert prepare(out, "this", settings) is None
    for step in range(3):
        record_terms(out / "rewards.jsonl", [sampled(step), sampled(step)])
    with (out / "rewards.jsonl").open("a") as file:
        file.write('{"record": "half')
    (out / "checkpoints" / "checkpoint-2").mkdir(parents=True)
    (out / "checkpoints" / "checkpoint-2" / "trainer_state.json").write_text("{}")
    for _ in range(2):  # by each of two ranks
        assert prepare(out, "this", settings) == out / "checkpoints" / "checkpoint-2"
    record_terms(out / "rewards.jsonl", [sampled(2)])
    assert [json.loads(line)["step"] for line in (out / "rewards.jsonl").read_text().splitlines()] == [0, 0, 1, 1, 2]


def test_grpo_makes_rewarded_completions_likelier(base, tmp_path):
    """The reward function is replaced by one a random model can earn: a low first token."""
    settings = GrpoSettings(
        epochs=25,
        batch_size=32,
        generations=16,
        max_completion=1,
        learning_rate=5e-2,
        embeddings="all",
        decay="constant",
        checkpoint_seconds=None,
    )
    tokenizer = load_tokenizer(base)
    vocabulary = foreign_vocabulary(tokenizer)
    prompts = grpo.reward_prompts([reward(n) for n in range(2)], vocabulary, STYLE, max_length=400).samples
    the_recipe = recipe(grpo=settings)
    trainer = grpo.make_trainer(
        the_recipe,
        settings,
        prompts,
        load_model(base),
        tokenizer,
        vocabulary,
        added_rows(base),
        tmp_path,
        lambda record, answer, step: Scored(1.0, ""),
    )
    shares = []

    def low_first_token(prompts, completion_ids, **kwargs):
        shares.append(sum(ids[0] < 130 for ids in completion_ids) / len(completion_ids))
        return [float(ids[0] < 130) for ids in completion_ids]

    trainer.reward_funcs = [low_first_token]
    trainer.train()
    assert sum(shares[-4:]) / 4 > sum(shares[:4]) / 4 + 0.2


def test_an_absent_reward_is_left_out_of_its_group(base, tmp_path):
    given = iter([1.0, 0.0, None, None])
    settings = GrpoSettings(epochs=1, batch_size=4, generations=4, max_completion=3, checkpoint_seconds=None)
    tokenizer = load_tokenizer(base)
    vocabulary = foreign_vocabulary(tokenizer)
    prompts = grpo.reward_prompts([reward(1)], vocabulary, STYLE, max_length=400).samples
    trainer = grpo.make_trainer(
        recipe(grpo=settings),
        settings,
        prompts,
        load_model(base),
        tokenizer,
        vocabulary,
        added_rows(base),
        tmp_path,
        lambda record, answer, step: Scored(1.0, ""),
    )
    trainer.reward_funcs = [lambda prompts, completion_ids, **kwargs: [next(given) for _ in prompts]]
    batch = trainer._generate_and_score_completions([{"prompt": prompts[0].record.id}] * 4)
    above = 0.5 / (0.5**0.5 + 1e-4)  # over the deviation of the two that have one
    assert batch["advantages"].tolist() == pytest.approx([above, -above, 0.0, 0.0], abs=1e-5)


def test_the_reward_is_none_when_the_check_is_undecided_and_zero_when_the_format_is_broken(base):
    vocabulary = foreign_vocabulary(load_tokenizer(base))
    good = preference_pairs([pair(1)], vocabulary, STYLE, max_length=400).samples[0].chosen
    undecided = score_completion(
        reward(1), good, vocabulary, lambda record, answer, step: Scored(None, "?"), finished=True, floor=0.1, step=0
    )
    broken = score_completion(
        reward(1), good[:-1], vocabulary, lambda record, answer, step: Scored(1.0, ""), finished=False, floor=0.1, step=0
    )
    right = score_completion(reward(1), good, vocabulary, lambda record, answer, step: Scored(1.0, ""), finished=True, floor=0.1, step=0)
    assert (undecided.format, undecided.reward) == (1.0, None)
    assert (broken.format, broken.reward, broken.check) == (0.0, 0.0, None)
    assert (right.reward, right.answer) == (1.0, "Yes 1.")
    for term in (undecided, broken, right):
        assert combine(term.format, term.check, term.floor) == term.reward


def test_code_that_cannot_be_run_is_undecided_not_wrong(monkeypatch):
    execution = Execution(runner="python", tests=(ExecutionTest(input="1", expected="2"),))

    def no_sandbox(*args, **kwargs):
        raise SandboxUnavailable("no isolation here")

    monkeypatch.setattr("castalia.training.rewards.score", no_sandbox)
    assert checks(None)(reward(1, Check(kind="execution", execution=execution)), "x", 0).value is None
    assert checks(None)(reward(1, Check(kind="state", expected=("a=b",))), "x", 0).value is None


def test_text_checks_are_those_of_scoring():
    scorer, record = checks(None), reward(1, Check(kind="contains", expected=("endfor",)))
    assert scorer(record, "Use % endfor.", 0).value == 1.0
    assert scorer(record, "Use end.", 0).value == 0.0


def test_consolidation_mixes_earlier_data_and_reports_how_far_it_moved(base, tmp_path):
    settings = ConsolidateSettings(epochs=2, batch_size=4, learning_rate=1e-3, earlier_share=0.5, checkpoint_seconds=None)
    earlier = [sft_example(n) for n in range(10)]
    result = consolidate.run(recipe(consolidate=settings), [replay(n) for n in range(4)], earlier, base, tmp_path / "c", start_id="b")
    assert result.samples == 8
    assert 0 < result.kl_to_start < 1


def test_the_stages_run_in_order_and_a_refused_one_is_not_built_upon(base, tmp_path):
    the_recipe = recipe(
        sft=SftSettings(epochs=1, batch_size=4, learning_rate=1e-3, checkpoint_seconds=None),
        preference=PreferenceSettings(epochs=1, batch_size=4, checkpoint_seconds=None),
        consolidate=ConsolidateSettings(epochs=1, batch_size=4, checkpoint_seconds=None),
    )
    data = {"sft": [sft_example(n) for n in range(4)], "preference": [pair(n) for n in range(4)], "replay": [replay(n) for n in range(2)]}

    def check(folder, stage):
        return StageCheck(stage != "preference", f"{stage} was looked at")

    results = train(the_recipe, data, base, tmp_path / "run", check=check, run_stage=run_here)
    assert [r.stage for r in results] == ["sft", "preference", "consolidate"]
    job = json.loads((tmp_path / "run" / "jobs" / "consolidate.json").read_text())
    assert job["start"] == results[0].folder
    assert best_model(tmp_path / "run") == tmp_path / "run" / "consolidate" / "model"
    history = json.loads((tmp_path / "run" / "best.json").read_text())["history"]
    assert [entry["promoted"] for entry in history] == [True, False, True]
    assert train(the_recipe, data, base, tmp_path / "run", check=check, run_stage=run_here) == results


def test_training_data_that_leaks_evaluation_items_is_refused(base, tmp_path):
    data = {"sft": [sft_example(1)]}
    with pytest.raises(TrainingRefused, match="leak"):
        train(recipe(sft=SftSettings()), data, base, tmp_path / "run", protected=lambda records: [records[0].id])
    assert not (tmp_path / "run").exists()


def test_a_stage_without_its_dataset_is_refused_before_anything_is_trained(base, tmp_path):
    with pytest.raises(TrainingRefused, match="'reward'"):
        train(recipe(sft=SftSettings(), grpo=GrpoSettings(batch_size=4)), {"sft": [sft_example(1)]}, base, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_stage_runs_again_from_its_job_file_and_finds_itself_finished(base, tmp_path, capsys):
    the_recipe = recipe(sft=SftSettings(epochs=1, batch_size=4, learning_rate=1e-3, checkpoint_seconds=None))
    done = train(the_recipe, {"sft": [sft_example(n) for n in range(4)]}, base, tmp_path / "run")[0]  # in a child process
    assert done.steps == 1
    main("sft", sft.run_job, [str(tmp_path / "run" / "jobs" / "sft.json")])
    assert StageResult.model_validate(json.loads(capsys.readouterr().out.splitlines()[-1])["result"]) == done


def test_an_edited_record_in_a_job_s_data_is_refused(tmp_path):
    path = write_records(tmp_path / "data.jsonl", [sft_example(1), pair(1), reward(1), replay(1)])
    assert [r.id for r in read_records(path)] == [sft_example(1).id, pair(1).id, reward(1).id, replay(1).id]
    path.write_text(path.read_text().replace("Because 1.", "Because 2."))
    with pytest.raises(ConfigError, match="was edited"):
        read_records(path)
