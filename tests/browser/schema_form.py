"""A form that the UI builds from a JSON schema: its fields by their labels, in both UIs."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

JSON_EDITOR = {"v1": ".p-code-input", "v2": ".cm-editor"}
"""What a raw JSON field is made of."""

_FIELD = {
    "v1": "div[contains(concat(' ', @class, ' '), ' p-label ')][./div[1]/label//span",
    "v2": "div[contains(@class, 'group')][./div[1]/div[1]/label",
}


class SchemaForm:
    """An open form. A field is found by its label, or the labels of the boxes it is in."""

    def __init__(self, page: Page, ui: str = "v2", dialog: Locator | None = None) -> None:
        """The form of the page, or the one in a dialog."""
        self.page = page
        self._ui = ui
        self._all = dialog or page.locator("body")

    def field(self, *labels: str, nth: int = 0) -> Locator:
        """A field with its label; `nth` counts those that look alike, as in rows."""
        *boxes, last = labels
        inside = self._all
        for box in boxes:
            inside = self._labelled(inside, box).first
        return self._labelled(inside, last).nth(nth)

    def fill(self, value: str, *labels: str, nth: int = 0) -> None:
        """Type into a text or number field."""
        field = self.field(*labels, nth=nth)
        field.get_by_role("textbox").or_(field.get_by_role("spinbutton")).fill(value)

    def switch(self, *labels: str) -> None:
        """Turn a switch the other way."""
        self.field(*labels).get_by_role("switch").click()

    def choose(self, option: str, *labels: str, nth: int = 0) -> None:
        """Pick from a select, or a block from a block picker."""
        field = self.field(*labels, nth=nth)
        if self._ui == "v1":
            field.locator(".p-select-button__control").press("ArrowDown")
            self.page.locator(".p-select-option").get_by_text(option, exact=True).click()
        else:
            field.locator("button[aria-haspopup=listbox]").click()
            self.page.get_by_role("option", name=option, exact=True).click()

    def add_item(self, value: str, *labels: str) -> None:
        """Add an item to a list of texts."""
        field = self.field(*labels)
        items = field.get_by_role("textbox")
        new = items.nth(items.count())  # the one that the button makes
        field.get_by_role("button", name="Add item").click()
        new.fill(value)

    def has_no_json_field(self) -> None:
        """Check that everything is filled in by plain fields; once the form is there."""
        expect(self.page.locator(JSON_EDITOR[self._ui])).to_have_count(0)

    def _labelled(self, inside: Locator, label: str) -> Locator:
        match = f"[.='{label}' or .='{label} (Optional)']]"
        return inside.locator(f"xpath=.//{_FIELD[self._ui]}{match}")
