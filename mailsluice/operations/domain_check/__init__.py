"""Check the DNS records of a sender's domain: SPF, DKIM, DMARC, and the names of servers."""

from mailsluice.operations.domain_check.finding import DomainCheck, Topic, TopicFinding
from mailsluice.operations.domain_check.subject import Subject

__all__ = ["DomainCheck", "Subject", "Topic", "TopicFinding"]
