"""Commands about the connections that campaigns with affinity remember."""

from __future__ import annotations

from cyclopts import App

from deployments.command.output import AsJson, show

app = App(name="affinity", help="The connections that campaigns with affinity remember.")


@app.command(name="show")
def show_groups(*, json: AsJson = False) -> None:
    """Show how many addresses each affinity group has on each connection.

    Args:
        json: Print JSON instead of text.
    """
    from mailsluice.operations import affinity
    from mailsluice.store import Database

    with Database() as database:
        groups = affinity.groups(database)
    lines = [
        f"{name}: " + ", ".join(f"{number:,} on {one}" for one, number in counts.items())
        for name, counts in groups.items()
    ]
    show("\n".join(lines) or "no campaign with affinity was launched yet", groups, as_json=json)


@app.command
def forget(*addresses: str, json: AsJson = False) -> None:
    """Forget addresses in all groups: the next campaign treats them as new ones.

    Args:
        addresses: The addresses, in any spelling.
        json: Print JSON instead of text.
    """
    from mailsluice.operations import affinity
    from mailsluice.store import Database

    if not addresses:
        raise affinity.AffinityError("no address is given: name the addresses to forget")
    with Database() as database:
        forgotten = affinity.forget_addresses(database, addresses)
    show(f"{forgotten:,} entries are forgotten", {"forgotten": forgotten}, as_json=json)


@app.command(name="forget-group")
def forget_group(group: str, /, *, json: AsJson = False) -> None:
    """Forget all addresses of a group: its next campaign shares recipients out anew.

    Args:
        group: The group's name.
        json: Print JSON instead of text.
    """
    from mailsluice.operations import affinity
    from mailsluice.store import Database

    with Database() as database:
        forgotten = affinity.forget_group(database, group)
    show(f"{forgotten:,} addresses are forgotten", {"forgotten": forgotten}, as_json=json)
