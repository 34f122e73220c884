import gzip
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from harmony_cases import answers, calls, returns, talk, texts, thinks, user
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from castalia.errors import ConfigError
from castalia.harmony import (
    HARMONY_TOKENS,
    FileRow,
    convert,
    foreign_vocabulary,
    gpt_oss,
    gpt_oss_vocabulary,
    parse_completion,
    render_samples,
    save_tokenizer,
    to_trl,
)
from castalia.harmony.gpt_oss import read_ranks

TALK = talk(user("q <|end|>"), thinks("t"), calls("f", '{"a": 1}'), returns("f", "r"), answers("naïve – 日本"))


@pytest.fixture(scope="module")
def small_tokenizer():
    """A byte-level tokenizer with a chat token of its own, as a small target has."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    wrapped.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    return wrapped


def test_official_ids_are_used(vocabulary, oracle):
    assert {token: oracle.encoding.encode(token, allowed_special="all") for token in HARMONY_TOKENS} == {
        token: [number] for token, number in vocabulary.special.items()
    }


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts)
def test_text_gets_the_ids_of_the_reference_and_comes_back(text, vocabulary, oracle):
    assert vocabulary.encode(text) == oracle.encoding.encode(text, disallowed_special=())
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_ids_that_mean_nothing_decode_to_a_replacement(vocabulary):
    assert vocabulary.decode([-1, 10**12]) == "\ufffd\ufffd"


def test_a_missing_or_wrong_vocabulary_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_ENCODINGS_BASE", str(tmp_path))
    with pytest.raises(ConfigError, match="holds no file"):
        read_ranks()
    (tmp_path / "o200k_base.tiktoken").write_bytes(b"AA== 0\n")
    with pytest.raises(ConfigError, match="has sha256"):
        read_ranks()
    monkeypatch.delenv("TIKTOKEN_ENCODINGS_BASE")
    monkeypatch.setattr(gpt_oss, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install 'bpe-openai"):
        read_ranks()


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-9], lambda packed: b"x" + packed, lambda packed: packed[:20] + b"\0" * 9 + packed[29:]]
)
def test_a_damaged_vocabulary_says_how_to_mend_it(damage, tmp_path, monkeypatch):
    class Package:
        submodule_search_locations = (str(tmp_path),)

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "o200k_base.tiktoken.gz").write_bytes(damage(gzip.compress(b"AA== 0\n" * 9, mtime=0)))
    monkeypatch.delenv("TIKTOKEN_ENCODINGS_BASE", raising=False)
    monkeypatch.setattr(gpt_oss, "find_spec", lambda name: Package)
    with pytest.raises(ConfigError, match=r"can't be read .*install bpe-openai afresh"):
        read_ranks()


def test_the_folder_of_the_reference_is_read_too(tmp_path, monkeypatch):
    package = find_spec("bpe_openai")
    packed = Path(package.origin).parent / "data" / "o200k_base.tiktoken.gz"
    (tmp_path / "o200k_base.tiktoken").write_bytes(gzip.decompress(packed.read_bytes()))
    monkeypatch.setenv("TIKTOKEN_ENCODINGS_BASE", str(tmp_path))
    assert len(read_ranks().splitlines()) == 199998


def test_importing_harmony_loads_pydantic_and_nothing_else_from_outside():
    code = (
        "import sys; before = set(sys.modules); import castalia.harmony; "
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names); "
        "print(*sorted(root for root in roots if not root.startswith('_')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["annotated_types", "castalia", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"]


@pytest.fixture(scope="module")
def saved_tokenizer(tmp_path_factory):
    pytest.importorskip("tokenizers")
    return save_tokenizer(tmp_path_factory.mktemp("gpt-oss"))


def test_a_saved_tokenizer_gives_text_the_same_ids(saved_tokenizer, vocabulary):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(saved_tokenizer / "tokenizer.json"))
    tokenizer.encode_special_tokens = True  # literals are text

    @settings(deadline=None, max_examples=200)
    @given(text=st.one_of(texts, st.text(alphabet=st.characters(codec="utf-8"), max_size=60)))
    def same(text):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert ids == vocabulary.encode(text)
        assert tokenizer.decode(ids, skip_special_tokens=False) == text

    same()
    assert {token: tokenizer.token_to_id(token) for token in HARMONY_TOKENS} == dict(vocabulary.special)


def test_transformers_load_a_saved_tokenizer_and_it_renders_the_same_ids(saved_tokenizer, vocabulary):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(saved_tokenizer), local_files_only=True)
    assert (tokenizer.eos_token, tokenizer.eos_token_id, len(tokenizer)) == ("<|return|>", 200002, 200019)
    (ours,), (theirs,) = render_samples(TALK, vocabulary), render_samples(TALK, foreign_vocabulary(tokenizer))
    assert theirs == ours
    assert tokenizer.decode(ours.ids) == vocabulary.decode(ours.ids)


def test_a_tokenizer_without_the_harmony_tokens_is_refused(small_tokenizer):
    import copy

    with pytest.raises(ConfigError, match="lacks the Harmony tokens"):
        foreign_vocabulary(copy.deepcopy(small_tokenizer))


def test_a_small_target_renders_and_parses_with_its_own_ids(small_tokenizer):
    import copy

    tokenizer = copy.deepcopy(small_tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": list(HARMONY_TOKENS)})
    vocabulary = foreign_vocabulary(tokenizer, name="small")
    (sample,) = render_samples(TALK, vocabulary)
    reference = render_samples(TALK, gpt_oss_vocabulary())[0]
    assert vocabulary.decode(sample.ids) == gpt_oss_vocabulary().decode(reference.ids)
    said = [
        message for start, end in sample.spans() for message in parse_completion(sample.ids[start:end], vocabulary, finished=True).messages
    ]
    assert said == [message for message in TALK.messages if message.role == "assistant"]


def test_special_tokens_of_a_foreign_tokenizer_never_come_out_of_text(small_tokenizer):
    import copy

    tokenizer = copy.deepcopy(small_tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": list(HARMONY_TOKENS)})
    tokenizer.add_tokens(["<plain_added>"])
    vocabulary = foreign_vocabulary(tokenizer, name="small")
    text = "".join(HARMONY_TOKENS) + "<|im_start|><plain_added> x"
    assert not set(vocabulary.encode(text)) & set(tokenizer.added_tokens_decoder)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.decode([-3, 10**9]) == "\ufffd\ufffd"


def test_half_a_character_is_a_row_with_a_problem_for_a_tokenizer_that_cannot_read_it(small_tokenizer):
    import copy

    tokenizer = copy.deepcopy(small_tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": list(HARMONY_TOKENS)})
    vocabulary = foreign_vocabulary(tokenizer, name="small")
    texts = ["a\ud800", "a\ud800<|end|>", "a"]
    rows = [FileRow(number, to_trl(talk(user(text), answers("b")))) for number, text in enumerate(texts, 1)]
    found = list(convert(rows, "ids", vocabulary))
    assert ["holds half of a character" in one.problem for one in found] == [True, True, False]


def test_a_tokenizer_that_changes_text_is_refused(small_tokenizer):
    import copy

    from tokenizers import normalizers

    tokenizer = copy.deepcopy(small_tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": list(HARMONY_TOKENS)})
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(ConfigError, match="gives text back unchanged"):
        foreign_vocabulary(tokenizer)
