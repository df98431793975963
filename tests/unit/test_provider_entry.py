"""Settings for one mailbox provider: its name, and whom an entry is for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mailsluice.campaign.provider_entry import ProviderEntry, entry_of, refuse_repeated


@pytest.mark.parametrize("name", ["google", "example.net", "unresolved", "*"])
def test_names_of_providers(name: str) -> None:
    assert ProviderEntry(provider=f" {name.upper()} ").provider == name


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("gogle", "there is no mailbox provider 'gogle': did you mean google?"),
        ("microsoft", "did you mean microsoft-consumer or microsoft-business?"),
        ("gmail", "did you mean google?"),
        ("x", "there is no mailbox provider 'x': write google, a hoster's domain"),
        ("gmail.com", "'gmail.com' is not the name of a mailbox provider: write google"),
        ("google.com", "write google"),  # the domain of its mail servers
        ("mx1.example.net", "write example.net"),
        ("co.uk", "write a hoster's own domain, such as example.co.uk"),
        ("exa mple.net", "there is no mailbox provider"),
        ("", "at least 1 character"),
    ],
)
def test_another_name_is_refused_with_the_nearest_ones(name: str, advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProviderEntry(provider=name)
    assert advice in str(caught.value)


def test_a_provider_has_one_entry() -> None:
    entries = [ProviderEntry(provider=name) for name in ("google", "yahoo", "google")]
    refuse_repeated(entries[:2])
    with pytest.raises(ValueError, match="the provider 'google' is listed twice"):
        refuse_repeated(entries)


def test_an_entry_is_for_its_provider_or_for_every_other_one() -> None:
    google, every = ProviderEntry(provider="google"), ProviderEntry(provider="*")
    assert entry_of([every, google], "google") is google
    assert entry_of([every, google], "example.net") is every
    assert entry_of([google], "yahoo") is None


def test_every_other_provider_does_not_include_domains_that_were_not_looked_up() -> None:
    unresolved = ProviderEntry(provider="unresolved")
    every = ProviderEntry(provider="*")
    assert entry_of([every], "unresolved") is None
    assert entry_of([every], "") is None  # in campaigns that are older than providers
    assert entry_of([every, unresolved], "unresolved") is unresolved
