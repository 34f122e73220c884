import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from castalia.training import LoraSettings  # noqa: E402
from castalia.training.lora import adapter_config, export_merged  # noqa: E402
from castalia.training.models import added_rows, count_trainable, load_model, load_tokenizer, prepare_base, save_model  # noqa: E402

EXPERTS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")


@pytest.fixture(scope="module")
def gpt_oss(tokenizer, tmp_path_factory):
    from transformers import GptOssConfig, GptOssForCausalLM

    torch.manual_seed(0)
    config = GptOssConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"],
        pad_token_id=0,
    )
    source = tmp_path_factory.mktemp("gptoss")
    GptOssForCausalLM(config).save_pretrained(source)
    tokenizer.save_pretrained(source)
    return prepare_base(str(source), tmp_path_factory.mktemp("gptoss-base") / "model")


def test_gradients_reach_attention_sinks_router_and_experts(gpt_oss):
    model = load_model(gpt_oss, attention="eager")
    ids = torch.randint(1, 200, (2, 12))
    model(input_ids=ids, labels=ids).loss.backward()
    reached = {name: p.grad.abs().max().item() for name, p in model.named_parameters() if p.grad is not None}
    for part in ("sinks", "router.weight", "experts.gate_up_proj", "experts.down_proj"):
        found = [value for name, value in reached.items() if name.endswith(part)]
        assert len(found) == 2
        assert all(value > 0 for value in found)


def test_an_adapter_on_modules_alone_leaves_the_experts_frozen_and_the_table_says_so(gpt_oss):
    from peft import get_peft_model

    without = get_peft_model(load_model(gpt_oss), adapter_config(LoraSettings(rank=2), []))
    table = count_trainable(without)
    assert table["experts"][0] == 0
    assert "adapter on experts" not in table
    named = get_peft_model(load_model(gpt_oss), adapter_config(LoraSettings(rank=2, target_parameters=EXPERTS), []))
    assert count_trainable(named)["adapter on experts"][0] > 0


def test_a_merged_adapter_gives_the_adapter_s_probabilities(gpt_oss, tmp_path):
    from peft import get_peft_model

    tokenizer = load_tokenizer(gpt_oss)
    model = get_peft_model(load_model(gpt_oss), adapter_config(LoraSettings(rank=2, target_parameters=EXPERTS), []))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    save_model(model, tokenizer, gpt_oss, tmp_path / "adapter")
    before = load_model(gpt_oss)(**tokenizer("abc", return_tensors="pt")).logits
    assert export_merged(tmp_path / "adapter", tmp_path / "merged", weights="fp32") < 1e-4
    after = load_model(tmp_path / "merged")(**tokenizer("abc", return_tensors="pt")).logits
    assert (after - before).abs().max() > 1e-3


def test_packed_samples_do_not_see_each_other_through_sinks_and_sliding_windows(gpt_oss):
    from castalia.training.sft import Collator, packed_masks

    generator = torch.Generator().manual_seed(3)
    ids = [torch.randint(1, 90, (length,), generator=generator).tolist() for length in (26, 12, 9, 5)]
    batch = Collator(0, pack=True)([{"input_ids": one, "labels": one, "weights": [1.0] * len(one)} for one in ids])
    assert batch["input_ids"].tolist() == [ids[0], [*ids[1], *ids[2], *ids[3]]]
    model = load_model(gpt_oss).eval()
    masks = packed_masks(model.config, batch["position_ids"])
    with torch.no_grad():
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], attention_mask=masks, use_cache=False).logits
        alone = torch.cat([model(input_ids=torch.tensor([one]), use_cache=False).logits[0] for one in ids])
    assert torch.allclose(together.flatten(0, 1), alone, atol=1e-5)


def test_new_rows_of_an_untied_output_layer_are_trained_and_saved_where_they_belong(gpt_oss, tmp_path):
    from castalia.training.added import merged_state, train_rows, trained_rows

    model, rows = load_model(gpt_oss), added_rows(gpt_oss)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ids = torch.tensor([[1, rows[0], 2, rows[3]]])
    plain = model(input_ids=ids).logits
    train_rows(model, rows)
    assert torch.equal(model(input_ids=ids).logits, plain)
    assert len(trained_rows(model)) == 2
    model(input_ids=ids).logits[..., rows].sum().backward()
    with torch.no_grad():
        for parameter in trained_rows(model):
            assert parameter.grad.abs().max() > 0
            parameter += 1.0
    after = merged_state(model)
    assert after.keys() == before.keys()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(after[name][rows], before[name][rows] + 1.0)
        assert torch.equal(after[name][: min(rows)], before[name][: min(rows)])


def test_the_router_s_balancing_loss_is_trl_s_own(gpt_oss, tmp_path):
    from castalia.training import Recipe, SftSettings
    from castalia.training.data import Example
    from castalia.training.sft import Collator, HarmonyTrainer, make_trainer

    settings = SftSettings(epochs=1, batch_size=2, router_aux_loss=0.5, embeddings="all")
    labels = [-100] * 4 + list(range(5, 13))
    example = Example(list(range(1, 13)), labels, [1.0] * 12, "skills", "easy", 1.0, "r")
    recipe = Recipe(name="t", precision="fp32", sft=settings)
    trainer = make_trainer(recipe, settings, [example] * 2, load_model(gpt_oss), load_tokenizer(gpt_oss), [], tmp_path)
    batch = Collator(0)([example.row()] * 2)
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    ours = trainer.compute_loss(trainer.model, dict(batch))
    batch.pop("weights")
    theirs = super(HarmonyTrainer, trainer).compute_loss(trainer.model, batch)
    plain = theirs.item() - 0.5 * trainer._metrics["train"]["aux_loss"][-1]
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert ours.item() > plain + 0.1
