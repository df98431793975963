"""Verdicts of SPF, DKIM, DMARC and ARC in Authentication-Results fields (RFC 8601). Pure.

Only fields of the receiving side count. A field above the topmost Received was added by the
mailbox's own host. One below has to bear an authserv-id of the receiving organisation, which
removes fields that a sender forges in its name (RFC 8601 section 5), and has to be above the first
Received of another organisation. Microsoft writes fields without an authserv-id.

The library `authres` reads each clause by itself, without its comments, so that a clause that it
cannot read (an empty one, as Yahoo writes at the end) does not hide the others, and so that nested
or open comments cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from mailsluice.core.organisation import is_aligned
from mailsluice.operations.probes.fields import Field, domain_of, first, without_comments
from mailsluice.operations.probes.received import Route, is_same_organisation

if TYPE_CHECKING:
    from authres.core import AuthenticationResult

_NAME = "authentication-results"
_MOST_CLAUSES, _LONGEST_CLAUSE = 40, 1_000
_METHOD_FIRST = re.compile(r"[a-z0-9-]{1,32}\s*=", re.IGNORECASE)
_CLAUSE = re.compile(r'(?:[^;"]++|"(?:[^"\\]|\\.)*+"?+)++')
_BRACKETS = str.maketrans("", "", "<>")  # which some write around an address
_ID = re.compile(r"[A-Za-z0-9._-]{1,253}")
_RESULT = re.compile(r"[a-z]{1,20}")
_DOMAINS = {
    "spf": (("smtp", "mailfrom"), ("smtp", "helo")),
    "dkim": (("header", "d"), ("header", "i")),
    "dmarc": (("header", "from"),),
    "arc": (("header", "d"),),
}
"""The properties in which a method's result names its domain (RFC 8601 section 2.7)."""
PASS, NONE = "pass", "none"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one method."""

    result: str
    """As in RFC 8601 section 2.7: pass, fail, softfail, none, temperror ..."""
    domain: str = ""
    """The domain that was checked; empty if the field does not name it."""
    is_aligned: bool = False
    """Whether the domain is of the organisation in the mail's From (RFC 7489 section 3.1)."""

    @property
    def counts(self) -> bool:
        """Whether the verdict lets DMARC pass."""
        return self.result == PASS and self.is_aligned


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The verdicts of the receiving side; None for a method without one."""

    spf: Verdict | None = None
    dkim: Verdict | None = None
    dmarc: Verdict | None = None
    arc: Verdict | None = None
    sender: str = ""
    """The domain of From, which the others are compared with."""


def verdicts(fields: Sequence[Field], route: Route | None) -> Verdicts:
    """Read the verdicts of the receiving side.

    Of several results of a method, the topmost counts; of several DKIM signatures, the one that
    lets DMARC pass, or else one that is valid.
    """
    sender = domain_of(first(fields, "from").rpartition("<")[2].rstrip("> "))
    found: dict[str, list[Verdict]] = {}
    for trusted in _trusted(fields, route):
        here: dict[str, list[Verdict]] = {}
        for result in _results(trusted):
            if result.method in _DOMAINS and _RESULT.fullmatch(result.result):
                domain = _domain(result)
                aligned = bool(domain and sender) and is_aligned(domain, sender)
                verdict = Verdict(result.result, domain, aligned)
                here.setdefault(result.method, []).append(verdict)
        for method, given in here.items():
            found.setdefault(method, given)
    best = {method: max(given, key=_weight) for method, given in found.items()}
    return Verdicts(sender=sender, **best)


def results_words(fields: Sequence[Field], route: Route | None) -> str:
    """Return the trusted fields as text, for what no method of RFC 8601 tells, such as x-tls."""
    return " ".join(_trusted(fields, route))


def _trusted(fields: Sequence[Field], route: Route | None) -> Iterator[str]:
    for position, (name, value) in enumerate(fields):
        if name != _NAME or route is None or position >= route.end:
            continue
        is_above = position < route.delivered.position
        if (
            is_above
            or is_same_organisation(_authserv_id(value), route.organisations)
            or (not _authserv_id(value) and "outlook.com" in route.organisations)
        ):
            yield value


def _authserv_id(value: str) -> str:
    """Return the name of the host that checked; empty where the field has none."""
    bare = without_comments(value).strip()
    named = None if _METHOD_FIRST.match(bare) else _ID.match(bare)
    return named[0].lower() if named else ""


def _results(value: str) -> Iterator[AuthenticationResult]:
    import authres  # only tests with probe mailboxes need it

    bare = without_comments(value).strip()
    clauses = [match[0] for match in islice(_CLAUSE.finditer(bare), _MOST_CLAUSES)]
    for clause in clauses if _METHOD_FIRST.match(bare) else clauses[1:]:
        try:
            words = clause.strip()[:_LONGEST_CLAUSE].translate(_BRACKETS)
            parsed = authres.AuthenticationResultsHeader.parse_value(f"host; {words}")
        except (authres.AuthResError, ValueError):
            continue
        yield from parsed.results


def _domain(result: AuthenticationResult) -> str:
    properties = {(one.type, one.name): one.value for one in reversed(result.properties)}
    named = (domain_of(properties.get(key) or "") for key in _DOMAINS[result.method])
    return next(filter(None, named), "")


def _weight(verdict: Verdict) -> tuple[bool, bool]:
    return verdict.counts, verdict.result == PASS
