"""URL identity: one spelling for fetching, one key for recognising the same page, one notion of a site.

`canonical_url` changes only what can't change the answer; it is what gets fetched and cited. `url_key` goes further
(scheme, `www.`, index files, trailing slash): two URLs with one key are one page. Both are idempotent.
"""

import re
from functools import cache

import ada_url
from publicsuffixlist import PublicSuffixList

_TRACKING = re.compile(
    r"utm_\w+|mtm_\w+|pk_\w+|ga_\w+|hsa_\w+|fbclid|gclid|gclsrc|dclid|msclkid|yclid|twclid|igshid|mc_cid|mc_eid|_hsenc|_hsmi|vero_id|"
    r"wickedid|oly_enc_id|oly_anon_id|ref_src|ref_url|spm|scid|cmpid|s_kwcid|trk|__twitter_impression|_ga|_gl|wbraid|gbraid|srsltid",
    re.IGNORECASE,
)
_SESSION = re.compile(r"phpsessid|jsessionid|sessionid|session_id|sid|aspsessionid\w*|cfid|cftoken|zenid|osCsid", re.IGNORECASE)
_SESSION_VALUE = re.compile(r"[0-9A-Za-z.!-]{8,}")
_PATH_SESSION = re.compile(r";(?:jsessionid|sid|phpsessid)=[^/;?]*", re.IGNORECASE)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_INDEX = re.compile(r"/(?:index|default)\.(?:html?|php\d?|aspx?|jsp|cgi|xhtml|shtml)\Z", re.IGNORECASE)
_MOBILE = re.compile(r"\A(?:www\d?|m|mobile|amp)\.(?=[^.]+\.)")


def canonical_url(url: str, base: str | None = None) -> str | None:
    """The spelling that is fetched and cited, or None for anything that is no http(s) URL with a host.

    Parsed by the WHATWG rules; fragment, tracking parameters, session ids and default ports go; credentials are refused.
    """
    try:
        parsed = ada_url.URL(url.strip(), base) if base else ada_url.URL(url.strip())
    except ValueError:
        return None
    if parsed.protocol not in ("http:", "https:") or not parsed.hostname or parsed.username or parsed.password:
        return None
    path = parsed.pathname
    while (cleaner := _PATH_SESSION.sub("", path)) != path:
        path = cleaner
    kept = [part for part in parsed.search.removeprefix("?").split("&") if part and not _is_noise(part)]
    rebuilt = f"{parsed.protocol}//{parsed.host}{path or '/'}" + ("?" + "&".join(kept) if kept else "")
    # Rebuilding can make dots or empty segments that the parser treats specially, so the result is parsed once more.
    try:
        return ada_url.URL(rebuilt).href.split("#")[0]
    except ValueError:
        return None


def url_key(url: str) -> str:
    """What the URL has in common with other spellings of the same page. Not for fetching."""
    canonical = canonical_url(url)
    if canonical is None:
        return url
    parsed = ada_url.URL(canonical)
    hostname = parsed.hostname.removesuffix(".")
    host = _MOBILE.sub("", hostname) if _site_of_host(hostname) != hostname else hostname
    port = f":{parsed.port}" if parsed.port else ""
    path = re.sub(r"/{2,}", "/", _one_spelling(parsed.pathname))
    path = _INDEX.sub("/", path)
    path = re.sub(r"(?:/amp)?/*\Z", "", path)
    parts = sorted(part for part in _one_spelling(parsed.search).removeprefix("?").split("&") if part not in ("", "amp", "amp=1"))
    return f"{host}{port}{path}" + (f"?{'&'.join(parts)}" if parts else "")


def _one_spelling(text: str) -> str:
    """Escapes of unreserved characters undone, the others in capitals (RFC 3986, 6.2.2)."""
    return _ESCAPE.sub(lambda match: char if (char := chr(int(match[1], 16))) in _UNRESERVED else match[0].upper(), text)


def host_of(url: str) -> str:
    """The host with its port where it isn't the default one."""
    return ada_url.URL(url).host


def site_root(url: str) -> str:
    """Scheme and host with a slash: where robots.txt and licence files are looked for."""
    parsed = ada_url.URL(url)
    return f"{parsed.protocol}//{parsed.host}/"


def folder_of(url: str) -> str:
    """The URL up to and including the last slash of its path: the prefix that a site's pages share."""
    canonical = canonical_url(url) or url
    return canonical.split("?")[0].rsplit("/", 1)[0] + "/"


def same_site(one: str, other: str) -> bool:
    """Whether both hosts belong to one registrable domain by the public suffix list; numeric hosts must be equal."""
    first, second = ada_url.URL(one).hostname, ada_url.URL(other).hostname
    return first == second or _site_of_host(first) == _site_of_host(second)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@cache
def _site_of_host(host: str) -> str:
    if host.startswith("[") or re.fullmatch(r"[\d.]+", host):
        return host
    return _suffixes().privatesuffix(host) or host


def _is_noise(part: str) -> bool:
    name, _, value = part.partition("=")
    return bool(_TRACKING.fullmatch(name)) or bool(_SESSION.fullmatch(name) and _SESSION_VALUE.fullmatch(value))
