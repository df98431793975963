"""The form of a block in a browser (UI v2)."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.pressing import press
from tests.browser.schema_form import SchemaForm
from tests.serving import Served


class BlockForm(SchemaForm):
    """The form of a new block, an SMTP connection unless told otherwise, or of one there is."""

    def __init__(
        self,
        page: Page,
        served: Served,
        block_id: str | None = None,
        kind: str = "smtp-connection",
    ) -> None:
        super().__init__(page)
        place = f"block/{block_id}/edit" if block_id else f"catalog/{kind}/create"
        page.goto(f"{served.url}/v2/blocks/{place}")

    def name(self, name: str) -> None:
        """Type the name: that of a new block only."""
        self.page.locator("input[name=blockName]").fill(name)

    def save(self) -> str:
        """Save; the block's id."""
        button = self.page.get_by_role("button", name="Save")
        press(self.page, button, "/block_documents/")
        self.page.wait_for_url("**/blocks/block/*")
        return self.page.url.rpartition("/")[2]
