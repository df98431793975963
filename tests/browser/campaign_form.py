"""The campaign form in a browser: its fields by their labels, in both UIs."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page

JSON_EDITOR = {"v1": ".p-code-input", "v2": ".cm-editor"}
"""What a raw JSON field is made of."""

_FIELD = {
    "v1": "div[contains(concat(' ', @class, ' '), ' schema-form-property ')][./div[1]/label//span",
    "v2": "div[contains(@class, 'group')][./div[1]/div[1]/label",
}


class CampaignForm:
    """The open run form. A field is found by its label, or the labels of the boxes it is in."""

    def __init__(self, page: Page, ui: str = "v2") -> None:
        self._page = page
        self._ui = ui

    def field(self, *labels: str, nth: int = 0) -> Locator:
        """A field with its label; `nth` counts those that look alike, as in rows."""
        found: Any = self._page
        for depth, label in enumerate(labels, start=1):
            match = f"[.='{label}' or .='{label} (Optional)']]"
            found = found.locator(f"xpath=.//{_FIELD[self._ui]}{match}")
            found = found.nth(nth if depth == len(labels) else 0)
        return found

    def fill(self, value: str, *labels: str, nth: int = 0) -> None:
        """Type into a text or number field."""
        field = self.field(*labels, nth=nth)
        field.get_by_role("textbox").or_(field.get_by_role("spinbutton")).fill(value)

    def choose(self, option: str, *labels: str, nth: int = 0) -> None:
        """Pick from a select, or a block from a block picker (UI v2)."""
        self.field(*labels, nth=nth).locator("button[aria-haspopup=listbox]").click()
        self._page.get_by_role("option", name=option, exact=True).click()

    def add_route(self, connection: str, percent: str | None = None) -> None:
        """Add a row to the routes (UI v2)."""
        routes = self.field("Routes")
        row = routes.get_by_text("Percent (Optional)").count()
        routes.get_by_role("button", name="Add item").click()
        self.choose(connection, "Routes", "Connection", nth=row)
        if percent is not None:
            self.fill(percent, "Routes", "Percent", nth=row)

    def submit(self) -> str:
        """Start the run; its id."""
        with self._page.expect_response(lambda one: "create_flow_run" in one.url) as reply:
            self._page.get_by_role("button", name="Submit").click()
        assert reply.value.ok, reply.value.text()
        return str(reply.value.json()["id"])
