"""Read a campaign document from a file, or from values."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError
from mailsluice.core.forms import in_words

Document = Campaign | Mapping[str, Any] | str | os.PathLike[str]
"""A campaign, its document as a mapping, or the path of a YAML or JSON file that holds it."""


def read_campaign(document: Document) -> Campaign:
    """Read and check a campaign document.

    Raises:
        CampaignError: The document cannot be read, or is wrong; the message names the wrong fields.

    Example:
        >>> from mailsluice import read_campaign
        >>> read_campaign("campaign.yaml").name
        'spring-sale'
    """
    if isinstance(document, Campaign):
        return document
    given = document if isinstance(document, Mapping) else _parsed(Path(document))
    given = given["campaign"] if set(given) == {"campaign"} else given
    try:
        return Campaign.model_validate(given)
    except ValidationError as error:
        raise CampaignError(f"the campaign cannot be sent as it is: {in_words(error)}") from None


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        parsed = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise CampaignError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise CampaignError(f"{path} is not text in UTF-8: save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise CampaignError(f"{path}, line {error.lineno} is not JSON: {error.msg}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise CampaignError(f"{path}, line {line} is not YAML: {error.problem}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise CampaignError(f"{path} is not YAML: {error}") from None
    if not isinstance(parsed, Mapping):
        raise CampaignError(f"{path} holds no campaign: write its fields as name: value")
    return parsed
