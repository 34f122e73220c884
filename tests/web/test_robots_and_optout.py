from castalia.web.facts import read_facts
from castalia.web.optout import header_optout, meta_optout, tdmrep_optout
from castalia.web.robots import Robots, RobotsAnswer, refuses_ai_training

AGENT = "castalia/0.1"


def test_a_missing_robots_file_allows_everything():
    assert Robots(RobotsAnswer(404, "User-agent: *\nDisallow: /"), AGENT).allows("http://h/x")


def test_a_failing_or_unreachable_robots_file_disallows_everything():
    assert not Robots(RobotsAnswer(503, ""), AGENT).allows("http://h/x")
    assert not Robots(RobotsAnswer(0, ""), AGENT).allows("http://h/x")


def test_the_group_of_the_crawler_counts_and_the_longest_rule_wins():
    rules = Robots(
        RobotsAnswer(200, "User-agent: *\nDisallow: /\n\nUser-agent: castalia\nDisallow: /a\nAllow: /a/b\nCrawl-delay: 7"), AGENT
    )
    assert rules.allows("http://h/x")
    assert not rules.allows("http://h/a/c")
    assert rules.allows("http://h/a/b/c")
    assert rules.crawl_delay == 7


def test_rules_after_500_kib_do_not_count():
    text = "User-agent: *\n" + "# filler\n" * 60_000 + "Disallow: /x\n"
    assert Robots(RobotsAnswer(200, text), AGENT).allows("http://h/x")


def test_sitemaps_are_listed():
    assert Robots(RobotsAnswer(200, "Sitemap: http://h/one.xml\nUser-agent: *\nDisallow:"), AGENT).sitemaps == ("http://h/one.xml",)


def test_a_content_usage_line_refuses_training_for_its_path():
    rules = Robots(RobotsAnswer(200, "User-agent: *\nAllow: /\nContent-Usage: train-ai=y\nContent-Usage: /art/ train-ai=n"), AGENT)
    assert rules.refuses_training("http://h/art/one.html")
    assert not rules.refuses_training("http://h/docs/")


def test_opt_outs_in_headers_are_seen_and_those_for_others_are_not():
    assert header_optout({"x-robots-tag": "noai"}, AGENT)
    assert header_optout({"x-robots-tag": "castalia: noindex"}, AGENT)
    assert not header_optout({"x-robots-tag": "otherbot: noindex"}, AGENT)
    assert header_optout({"tdm-reservation": "1"}, AGENT)
    assert header_optout({"content-usage": "search=y, train-ai=n"}, AGENT)
    assert not header_optout({"x-robots-tag": "max-snippet:20", "content-usage": "train-ai=y"}, AGENT)


def test_an_opt_out_holds_in_whichever_of_several_elements_it_stands():
    for first, second in (("noai", "index, follow"), ("index, follow", "noai")):
        page = f'<meta name="robots" content="{first}"><meta name=" ROBOTS" content="{second}"><p>words'
        assert meta_optout(read_facts(page)["metas"], AGENT)
    many = '<meta name="x" content="y">' * 600
    assert meta_optout(
        read_facts(f'{many}<meta name="tdm-reservation" content="0"><meta name="tdm-reservation" content="1">')["metas"], AGENT
    )


def test_opt_outs_in_meta_elements_are_seen():
    assert meta_optout({"robots": "noindex, follow"}, AGENT)
    assert meta_optout({"castalia": "noai"}, AGENT)
    assert meta_optout({"tdm-reservation": "1"}, AGENT)
    assert not meta_optout({"robots": "index, follow"}, AGENT)


def test_the_first_fitting_rule_of_tdmrep_decides():
    document = '[{"location": "/open/*", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]'
    assert tdmrep_optout(document, "/closed/x")
    assert not tdmrep_optout(document, "/open/x")
    assert not tdmrep_optout("no json", "/")


def test_only_a_no_is_a_refusal_of_training():
    assert refuses_ai_training("train-ai = n")
    assert not refuses_ai_training("train-ai=y")
    assert not refuses_ai_training("")
