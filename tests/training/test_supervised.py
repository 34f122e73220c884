import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from castalia.harmony import PartWeights, Style, foreign_vocabulary  # noqa: E402
from castalia.records import Conversation, Message, SFTExample, ask_user  # noqa: E402
from castalia.training import Recipe, SftSettings, sft  # noqa: E402
from castalia.training.added import merged_state, trained_rows  # noqa: E402
from castalia.training.data import sft_examples  # noqa: E402
from castalia.training.models import added_rows, load_model, load_tokenizer  # noqa: E402
from castalia.training.sft import Collator, make_trainer  # noqa: E402
from castalia.training.stage import newest_checkpoint, read_metrics  # noqa: E402

STYLE = Style(preamble="none")


def example(question, answer, number=0, difficulty="easy", thought="Short."):
    said = (
        Message(role="assistant", channel="analysis", content=thought),
        Message(role="assistant", channel="final", content=answer),
    )
    return SFTExample(
        subject=f"s/sft/{number}",
        section="s",
        kind="grounded-answer",
        category="knowledge" if number % 2 else "skills",
        node="knowledge/x",
        difficulty=difficulty,
        conversation=Conversation(messages=(*ask_user(question).messages, *said)),
        evidence=(),
        atoms=(),
    )


RECORDS = [example(f"What is {n}?" + "?" * n, f"It is {n}.", n) for n in range(6)]


def recipe(**settings):
    values = {"epochs": 2, "batch_size": 3, "learning_rate": 1e-2, "checkpoint_seconds": None, **settings}
    return Recipe(name="t", style=STYLE, precision="fp32", sft=SftSettings(**values))


def examples_of(folder, records=RECORDS, weights=None):
    vocabulary = foreign_vocabulary(load_tokenizer(folder))
    return sft_examples(records, vocabulary, STYLE, weights=weights or PartWeights(), max_length=400).samples


def trainer_of(folder, out, the_recipe=None, records=RECORDS, weights=None):
    the_recipe = the_recipe or recipe()
    examples = examples_of(folder, records, weights)
    return make_trainer(the_recipe, the_recipe.sft, examples, load_model(folder), load_tokenizer(folder), added_rows(folder), out)


def gradients(trainer, rows, *, pack=False):
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, Collator(0, pack=pack)(rows))
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def test_the_base_has_seven_new_rows_at_the_mean_and_knows_them_again(base):
    rows = added_rows(base)
    weight = load_model(base).get_input_embeddings().weight
    assert len(rows) == 7
    assert torch.allclose(weight[rows], weight[: min(rows)].mean(dim=0).expand(7, -1), atol=1e-6)


def test_loss_and_gradient_are_those_of_trl_when_all_weights_are_one(base, tmp_path):
    trainer = trainer_of(base, tmp_path, recipe(embeddings="all"))
    rows = [e.row() for e in examples_of(base)[:4]]
    ours, our_gradient = gradients(trainer, rows)
    trainer.model.zero_grad()
    batch = {key: value for key, value in Collator(0)(rows).items() if key != "weights"}
    theirs = super(sft.HarmonyTrainer, trainer).compute_loss(trainer.model, batch)
    theirs.backward()
    their_gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
    assert ours == pytest.approx(theirs.item(), abs=1e-5)
    assert their_gradient.norm() > 1e-3
    assert torch.allclose(our_gradient, their_gradient, atol=1e-5)


def test_packed_samples_have_the_loss_and_the_gradient_of_padded_ones(base, tmp_path):
    trainer = trainer_of(base, tmp_path, recipe(embeddings="all"))
    rows = [e.row() for e in examples_of(base)]
    assert len({len(row["input_ids"]) for row in rows}) > 1
    padded, padded_gradient = gradients(trainer, rows)
    packed, packed_gradient = gradients(trainer, rows, pack=True)
    assert packed == pytest.approx(padded, abs=1e-5)
    assert padded_gradient.norm() > 1e-3
    assert torch.allclose(packed_gradient, padded_gradient, atol=1e-5)
    swapped, _ = gradients(trainer, [*rows[3:], *rows[:3]], pack=True)
    assert swapped == pytest.approx(packed, abs=1e-5)


def test_a_packed_run_ends_where_a_padded_one_does(base, tmp_path):
    padded, packed = (sft.run(recipe(pack=pack), RECORDS, base, tmp_path / str(pack), start_id="b") for pack in (False, True))
    assert packed.fingerprint != padded.fingerprint
    assert (packed.steps, packed.tokens) == (padded.steps, padded.tokens)
    assert packed.final_loss == pytest.approx(padded.final_loss, abs=1e-4)


def test_the_labels_of_untrained_tokens_do_not_touch_the_gradient(base, tmp_path):
    trainer = trainer_of(base, tmp_path, recipe(embeddings="all"))
    row = examples_of(base)[0].row()
    untrained = [n for n, label in enumerate(row["labels"]) if label == -100]
    _, before = gradients(trainer, [row])
    heavy = {**row, "weights": [7.0 if n in untrained else w for n, w in enumerate(row["weights"])]}
    _, after = gradients(trainer, [heavy])
    assert untrained
    assert torch.equal(before, after)


def test_a_silent_part_has_no_influence_on_the_loss(base, tmp_path):
    weights = PartWeights(analysis=0.0)
    trainer = trainer_of(base, tmp_path, weights=weights)
    one, other = (examples_of(base, [example("Q?", "A.", thought=t)], weights)[0].row() for t in ("Xyz.", "Xyz."))
    quiet = [n for n, (label, w) in enumerate(zip(one["labels"], one["weights"], strict=True)) if label != -100 and w == 0]
    other["labels"] = [5 if n in quiet else label for n, label in enumerate(other["labels"])]
    assert quiet
    assert gradients(trainer, [one])[0] == pytest.approx(gradients(trainer, [other])[0], abs=1e-7)


def test_accumulated_micro_batches_give_the_step_of_the_whole_batch(base, tmp_path):
    results = []
    for micro in (6, 2):
        the_recipe = recipe(batch_size=6, micro_batch_size=micro, epochs=1, embeddings="all")
        trainer = trainer_of(base, tmp_path / str(micro), the_recipe)
        trainer.train()
        results.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
    start = torch.cat([p.detach().flatten() for p in load_model(base).parameters()])
    assert (results[0] - start).abs().max() > 1e-3
    assert torch.allclose(results[0], results[1], atol=1e-4)


def test_new_rows_learn_at_their_own_rate_and_old_rows_stay(base, tmp_path):
    moved = {}
    rows = added_rows(base)
    start = load_model(base).get_input_embeddings().weight.detach()
    for rate in (1e-4, 1e-2):
        trainer = trainer_of(base, tmp_path / str(rate), recipe(epochs=1, batch_size=6, learning_rate=1e-4, new_token_learning_rate=rate))
        trainer.train()
        weight = merged_state(trainer.model)["model.embed_tokens.weight"]
        moved[rate] = (weight[rows] - start[rows]).abs().max().item()
        assert torch.equal(weight[: min(rows)], start[: min(rows)])
    assert moved[1e-2] == pytest.approx(100 * moved[1e-4], rel=0.05)


def test_the_gradient_of_new_rows_is_theirs_in_the_whole_embedding(base, tmp_path):
    rows = [e.row() for e in examples_of(base)]
    whole = trainer_of(base, tmp_path / "all", recipe(embeddings="all"))
    whole_loss, _ = gradients(whole, rows)
    alone = trainer_of(base, tmp_path / "added")
    loss, _ = gradients(alone, rows)
    (trained,) = trained_rows(alone.model)
    assert loss == pytest.approx(whole_loss, abs=1e-6)
    assert torch.allclose(trained.grad, whole.model.get_input_embeddings().weight.grad[added_rows(base)], atol=1e-6)
    assert trained.grad.norm() > 1e-3


def test_frozen_layers_stay_as_they_are(base, tmp_path):
    trainer = trainer_of(base, tmp_path, recipe(epochs=1, freeze_layers=1))
    trainer.train()
    before, after = load_model(base).model.layers, trainer.model.model.layers
    assert torch.equal(before[0].mlp.up_proj.weight, after[0].mlp.up_proj.weight)
    assert not torch.equal(before[1].mlp.up_proj.weight, after[1].mlp.up_proj.weight)


class KilledError(RuntimeError):
    pass


def test_a_killed_run_goes_on_with_the_identical_next_batch(base, tmp_path):
    the_recipe = recipe(epochs=4, checkpoint_seconds=1e-9)
    whole = sft.run(the_recipe, RECORDS, base, tmp_path / "whole", start_id="b")

    def kill(event):
        if event.step == 5:
            raise KilledError

    with pytest.raises(KilledError):
        sft.run(the_recipe, RECORDS, base, tmp_path / "killed", start_id="b", on_event=kill)
    assert newest_checkpoint(tmp_path / "killed" / "checkpoints").name == "checkpoint-4"
    resumed = sft.run(the_recipe, RECORDS, base, tmp_path / "killed", start_id="b")
    losses = [[line["loss"] for line in read_metrics(tmp_path / name)] for name in ("whole", "killed")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert len(losses[0]) == whole.steps == resumed.steps == 8
    first, second = (load_model(tmp_path / name / "model").state_dict() for name in ("whole", "killed"))
    assert all(torch.allclose(first[key], second[key], atol=1e-6) for key in first)


def test_a_finished_stage_is_not_run_again_and_another_setting_is(base, tmp_path):
    done = sft.run(recipe(epochs=1), RECORDS, base, tmp_path / "s", start_id="b")
    lines = (tmp_path / "s" / "metrics.jsonl").read_text()
    assert sft.run(recipe(epochs=1), RECORDS, base, tmp_path / "s", start_id="b") == done
    assert (tmp_path / "s" / "metrics.jsonl").read_text() == lines
    again = sft.run(recipe(epochs=2), RECORDS, base, tmp_path / "s", start_id="b")
    assert again.steps == 2 * done.steps
    assert again.fingerprint != done.fingerprint


def test_training_lowers_the_loss_and_writes_a_folder_anyone_can_load(base, tmp_path):
    result = sft.run(recipe(epochs=8, embeddings="all"), RECORDS, base, tmp_path / "s", start_id="b")
    lines = read_metrics(tmp_path / "s")
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.3
    assert {"step", "loss", "learning_rate", "tokens", "step_seconds", "seconds"} <= set(lines[0])
    assert result.tokens == sum(line["tokens"] for line in lines)
    assert added_rows(tmp_path / "s" / "model") == added_rows(base)
    assert load_tokenizer(tmp_path / "s" / "model").get_vocab() == load_tokenizer(base).get_vocab()
    assert json.loads((tmp_path / "s" / "stage.json").read_text())["stage"] == "sft"


def test_the_guard_on_time_stops_in_order_and_says_so(base, tmp_path):
    result = sft.run(recipe(epochs=50, max_seconds=1e-6), RECORDS, base, tmp_path / "s", start_id="b")
    assert result.steps == 1
    assert result.planned_steps == 100
    assert "max_seconds" in result.stopped


def test_samples_that_are_too_long_are_left_out_by_name(base, tmp_path):
    long = example("Q?", "word " * 200, 9)
    result = sft.run(recipe(epochs=1, max_length=200), [*RECORDS, long], base, tmp_path / "s", start_id="b")
    assert result.too_long == (long.id,)
    assert result.samples == 6
