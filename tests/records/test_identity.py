from castalia.records import Reject


def test_a_copy_with_other_content_has_its_own_identity():
    reject = Reject(stage="collect", subject="https://a.example/", reason="robots")
    other = reject.model_copy(update={"reason": "opt-out"})
    assert reject.id != other.id == Reject(stage="collect", subject="https://a.example/", reason="opt-out").id
