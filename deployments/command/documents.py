"""Campaign files: an example to begin with, and the schema that editors use for completion."""

from __future__ import annotations

from pathlib import Path

from mailsluice.core.errors import CampaignError

_EXAMPLE = """\
# yaml-language-server: $schema=campaign.schema.json
# `mailsluice plan FILE` shows what this campaign would do; `mailsluice send FILE` sends it.
# For completion in an editor: mailsluice schema > campaign.schema.json

name: spring-sale              # the same name continues the same campaign
recipients:
  path: recipients.csv         # its first line names the columns; one of them is "email"
message:
  sender: News <news@example.com>
  subject: Hi {{ first_name }} # each column of the list is a variable
  html: |
    <p>Hello {{ first_name }},</p>
    <p>our spring sale begins today.</p>
  # unsubscribe_url: https://example.com/unsubscribe?e={{ email|urlencode }}
strategy: percentage           # single | percentage | round_robin | throughput
routes:                        # the names of SMTP Connection blocks in Prefect
  - {connection: sendgrid, percent: 70}
  - {connection: sparkpost, percent: 30}
throttle: {per_hour: 6000}     # of the whole campaign: 4,200 and 1,800
# sending_window: {days: Mon-Fri, start: "09:00", end: "18:00", timezone: Europe/Berlin}
"""


def init(file: Path = Path("campaign.yaml"), /) -> None:
    """Write a commented campaign file to begin with.

    Args:
        file: The file to write. An existing file is not replaced.
    """
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(_EXAMPLE)
    except FileExistsError:
        raise CampaignError(f"{file} exists: give another name, or delete it first") from None
    print(f"{file} is written: fill it in, then run: mailsluice plan {file}")


def schema() -> None:
    """Print the JSON schema of a campaign document, for completion in editors."""
    import json

    from mailsluice.campaign import Campaign

    print(json.dumps(Campaign.model_json_schema(), indent=2))


COMMANDS = (init, schema)
