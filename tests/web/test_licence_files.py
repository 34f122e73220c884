"""The licence files of a site, taken together: scopes, several licences, notices."""

import pytest

from castalia.records import LicenceDecision
from castalia.web.licences import Policy, decide, files_evidence
from licence_notices import ISC, MIT

ROOT = "https://docs.example.org/"


def decided(files: dict[str, str], *allowed: str) -> LicenceDecision:
    return decide(files_evidence({f"{ROOT}{name}": text for name, text in files.items()}), Policy.named(allowed or "permissive"))


@pytest.mark.parametrize(
    ("files", "text", "code"),
    [
        ({"LICENSE": MIT}, "MIT", None),
        ({"LICENSE": MIT, "LICENSE-docs": ISC}, "ISC", "MIT"),
        ({"LICENSE": ISC, "LICENSE-CODE": MIT}, "ISC", "MIT"),
        ({"LICENSE": ISC, "LICENSE-code.txt": MIT, "COPYING": ISC}, "ISC", "MIT"),
        ({"LICENSE-documentation.md": ISC, "LICENSE-source": MIT}, "ISC", "MIT"),
        ({"docs/LICENSE": MIT}, "MIT", None),
        ({"LICENSE-MIT": MIT}, "MIT", None),
    ],
)
def test_a_file_named_for_prose_or_code_holds_for_that(files: dict[str, str], text: str, code: str | None):
    decision = decided(files)
    assert (decision.verdict, decision.spdx) == ("allowed", text)
    own = {part.scope: part.spdx for part in decision.parts if part.allowed}
    assert own == ({"code": code} if code else {})


def test_two_files_for_the_same_hold_both_because_nothing_lets_one_choose():
    decision = decided({"LICENSE": MIT, "COPYING": ISC})
    assert (decision.verdict, decision.spdx) == ("allowed", "MIT AND ISC")
    assert "Ann Author" in decision.attribution
    assert "Bob Builder" in decision.attribution
    assert decided({"LICENSE": MIT, "COPYING": ISC}, "MIT").verdict == "contradiction"


def test_a_notice_beside_the_text_it_means_is_no_second_licence():
    notice = "This manual is distributed under the terms in the file LICENSE."
    assert decided({"LICENSE": MIT, "COPYING": notice}).spdx == "MIT"
    assert decided({"COPYING": notice}).verdict == "abstain"


def test_a_longer_text_that_is_not_recognised_beside_a_licence_is_not_passed_over():
    terms = " ".join(f"Clause {number} forbids what the licence beside it allows." for number in range(30))
    assert decided({"LICENSE": MIT, "COPYING": terms}).verdict == "abstain"


def test_the_notice_of_the_code_licence_is_carried_too():
    decision = decided({"LICENSE-docs": ISC, "LICENSE-code": MIT})
    assert decision.attribution.startswith("Copyright (c) 2019, Bob Builder Licensed under ISC, see https://docs.example.org/LICENSE-docs.")
    assert "On this page: code under MIT (Copyright (c) 2021 Ann Author)." in decision.attribution


def test_code_under_a_licence_that_is_not_allowed_has_none():
    decision = decided({"LICENSE-docs": ISC, "LICENSE-code": MIT}, "ISC")
    assert (decision.verdict, decision.spdx) == ("allowed", "ISC")
    assert [(part.scope, part.spdx, part.allowed) for part in decision.parts] == [("code", "MIT", False)]
