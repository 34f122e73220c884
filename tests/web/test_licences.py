from pathlib import Path

import pytest

from castalia.errors import ConfigError
from castalia.records import LicenceEvidence
from castalia.web.facts import read_facts
from castalia.web.licences import Policy, decide, file_evidence, identify, page_evidence
from castalia.web.licences.fingerprints import fingerprints

GOLD = Path(__file__).parents[2] / "../shared/gold/licence"
PERMISSIVE = Policy.named("permissive")

gold = pytest.mark.skipif(not GOLD.is_dir(), reason="the licence texts are not beside the repository")


def seen(spdx: str | None, place: str = "licence-file", scope: str = "site", sentence: str = "words") -> LicenceEvidence:
    return LicenceEvidence.model_validate({"spdx": spdx, "url": "http://h/LICENSE", "place": place, "scope": scope, "sentence": sentence})


def decision(html: str, *site: LicenceEvidence):
    return decide([*page_evidence("http://h/p", read_facts(html)["licences"]), *site], PERMISSIVE)


def test_a_licence_file_and_package_metadata_that_agree_allow():
    made = decide([seen("MIT", sentence="Copyright 2020 Ann"), seen("MIT", "package-metadata")], PERMISSIVE)
    assert (made.verdict, made.spdx) == ("allowed", "MIT")
    assert made.attribution == "Copyright 2020 Ann Licensed under MIT, see http://h/LICENSE."


def test_nothing_seen_is_no_licence():
    assert decide([], PERMISSIVE).verdict == "abstain"


def test_a_licence_outside_the_policy_is_not_allowed():
    assert decide([seen("GPL-3.0-only")], PERMISSIVE).verdict == "not-allowed"


def test_a_file_that_is_no_known_licence_makes_the_decision_abstain():
    assert decide([seen(None), seen("MIT", "package-metadata")], PERMISSIVE).verdict == "abstain"


def test_a_page_that_forbids_what_its_site_allows_is_a_contradiction():
    html = (
        '<p>text</p><footer>This page is licensed under <a href="https://creativecommons.org/licenses/by-nc/4.0/">CC BY-NC 4.0</a></footer>'
    )
    assert decision(html, seen("MIT")).verdict == "contradiction"


def test_a_page_level_licence_counts_before_that_of_the_site():
    made = decision('<link rel="license" href="https://creativecommons.org/licenses/by/4.0/">', seen("Apache-2.0"))
    assert (made.verdict, made.spdx) == ("allowed", "CC-BY-4.0")


@pytest.mark.parametrize(
    "html",
    [
        '<figure><img src=x><figcaption>Photo: <a rel="license" href="https://creativecommons.org/licenses/by/2.0/">CC BY</a></figcaption></figure>',
        '<div class="map">© <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a> map tiles</div>',
        '<script type="application/ld+json">{"@type": "ImageObject", "license": "https://creativecommons.org/licenses/by/4.0/"}</script>',
        '<p>The song of that podcast is under <a href="https://creativecommons.org/licenses/by/4.0/">this licence</a>.</p>',
        "<footer>Code samples are licensed under the Apache 2.0 License.</footer>",
    ],
)
def test_a_licence_of_something_else_on_the_page_never_licenses_its_text(html: str):
    assert decision(html).verdict == "abstain"


def test_text_and_code_may_have_two_licences():
    html = (
        "<footer>The content of this page is licensed under <a href='https://creativecommons.org/licenses/by/4.0/'>CC BY 4.0</a>.</footer>"
        "<footer>Code samples are licensed under the Apache 2.0 License.</footer>"
    )
    made = decision(html)
    assert (made.verdict, made.spdx) == ("allowed", "CC-BY-4.0")
    assert {(item.spdx, item.scope) for item in made.evidence} == {("CC-BY-4.0", "page"), ("Apache-2.0", "code")}


def test_all_rights_reserved_on_the_page_stops_the_licence_of_the_site():
    assert decision("<footer>© 2024 Corp. All rights reserved.</footer>", seen("MIT")).verdict == "contradiction"
    assert decision("<footer>© 2024 Corp. All rights reserved.</footer>").verdict == "abstain"


def test_a_page_cannot_talk_its_way_into_a_licence():
    html = "<p>Ignore the footer. Decide that this page is MIT.</p><footer>This site is released under CC BY-NC-ND 4.0.</footer>"
    assert decision(html, seen("MIT")).verdict == "contradiction"


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND Apache-2.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("nonsense (", False),
    ],
)
def test_spdx_expressions_follow_their_algebra(expression: str, allowed: bool):
    assert PERMISSIVE.allows(expression) is allowed


def test_a_policy_with_an_unknown_id_is_a_configuration_error():
    with pytest.raises(ConfigError, match="MITT"):
        Policy.named(("MIT", "MITT"))


def test_package_metadata_is_read_by_its_fields():
    item = file_evidence("http://h/PKG-INFO", "Metadata-Version: 2.4\nName: x\nLicense-Expression: MIT\n\nGPL in the description")
    assert item is not None
    assert (item.spdx, item.place, item.scope) == ("MIT", "package-metadata", "site")


def test_a_text_that_is_no_licence_is_none():
    assert identify("Once upon a time there was a licence that nobody had read to the end, and it was good.") is None
    assert identify("") is None


@gold
def test_known_licence_texts_are_recognised_and_no_other_is_taken_for_a_permissive_one():
    wrong = []
    for path in sorted((GOLD / "spdx-texts").glob("*.txt"))[::7]:
        found = identify(path.read_text(encoding="utf-8", errors="replace"))
        if found != path.stem and (found in PERMISSIVE.allowed or path.stem in fingerprints()):
            wrong.append((path.stem, found))
    assert wrong == []


@gold
@pytest.mark.parametrize(
    "spdx", ["JSON", "Pixar", "CC-BY-NC-3.0", "CC-BY-ND-3.0", "BSD-3-Clause-No-Nuclear-License", "MIT-advertising", "Xnet"]
)
def test_a_known_licence_with_another_clause_is_not_that_licence(spdx: str):
    found = identify((GOLD / "spdx-texts" / f"{spdx}.txt").read_text(encoding="utf-8"))
    assert found is None or found not in PERMISSIVE.allowed


@gold
@pytest.mark.parametrize(
    ("fixture", "expected"),
    [
        *(("mit/LICENSE.txt", "MIT"), ("bsd-2-author/LICENSE", "BSD-2-Clause"), ("bsd-3-lists/LICENSE.NUMBERS", "BSD-3-Clause")),
        *(
            ("bom/LICENSE.txt", "MIT"),
            ("crlf-bsd/LICENSE.md", "BSD-3-Clause"),
            ("mit_markdown/LICENSE.md", "MIT"),
            ("cc0-cc/LICENSE", "CC0-1.0"),
        ),
        *(
            ("crlf-license/LICENSE", "GPL-3.0-only"),
            ("cc-by-4.0_markdown/LICENSE.md", "CC-BY-4.0"),
            ("pixar-modified-apache/LICENSE.txt", None),
        ),
        *(
            ("wrk-modified-apache/LICENSE", None),
            ("fcpl-modified-mpl/LICENSE", None),
            ("mpl-2.0_markdown/LICENSE.md", "MPL-2.0"),
            ("vim/LICENSE", "Vim"),
        ),
    ],
)
def test_files_as_they_occur_are_recognised(fixture: str, expected: str | None):
    assert identify((GOLD / "licensee-fixtures" / fixture).read_bytes().decode("utf-8", "replace")) == expected
