"""The licence of one page, from its HTML alone."""

from castalia.records import LicenceDecision
from castalia.web.facts import read_facts
from castalia.web.licences.decide import decide
from castalia.web.licences.evidence import page_evidence
from castalia.web.licences.policy import Policy


def page_licence(html: str, url: str, policy: Policy | None = None) -> LicenceDecision:
    """The decision for the text of the page at `url`, under `policy` (permissive by default).

    A page that no parser should see (see `castalia.web.prescan`) gives no evidence. Parses in this process: pages from outside go
    through `castalia.web.worker` first, as the collect stage does.
    """
    statements = read_facts(html).get("licences", [])
    return decide(page_evidence(url, statements), policy or Policy.named("permissive"))
