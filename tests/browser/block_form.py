"""The form of a block in a browser, in both UIs."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.pressing import press
from tests.browser.schema_form import SchemaForm
from tests.browser.visiting import visit
from tests.serving import Served


class BlockForm(SchemaForm):
    """The form of a new block, an SMTP connection unless told otherwise, or of one there is."""

    def __init__(
        self,
        page: Page,
        served: Served,
        block_id: str | None = None,
        kind: str = "smtp-connection",
        ui: str = "v2",
    ) -> None:
        super().__init__(page, ui)
        blocks = f"{served.ui_url(ui)}/blocks"
        if block_id:
            page.goto(f"{blocks}/block/{block_id}/edit")  # a form that a link opens may be empty
        else:
            visit(page, f"{blocks}/catalog/{kind}/create")

    def name(self, name: str) -> None:
        """Type the name: that of a new block only."""
        place = {"v1": "xpath=//label[.='Block Name']/following::input[1]"}
        self.page.locator(place.get(self._ui, "input[name=blockName]")).fill(name)

    def password(self, password: str) -> None:
        """Type the password. (The older UI shows it while it is typed.)"""
        self.field("Password").locator("input, textarea").fill(password)

    def save(self) -> str:
        """Save; the block's id."""
        button = self.page.get_by_role("button", name={"v1": "Create"}.get(self._ui, "Save"))
        press(self.page, button, "/block_documents/")
        self.page.wait_for_url("**/blocks/block/*")
        expect(self.field("Password")).to_have_count(0)  # the form has gone
        return self.page.url.rpartition("/")[2]
