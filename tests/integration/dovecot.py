"""Debian's dovecot, as an instance of the tests' own: files, users and processes."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imap_tools import MailBoxUnencrypted

from deployments.server import free_port
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.smtp.connection import Security
from tests.integration.daemons import require, running, wait_for
from tests.integration.introspection import Introspection
from tests.integration.smtp_fixtures import Certificates

DOVECOT = Path("/usr/sbin/dovecot")
USERNAME, PASSWORD = "bounces@example.com", 'a secret with "quotes" and \\'

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.pem
disable_plaintext_auth = no
auth_mechanisms = plain xoauth2 oauthbearer
auth_failure_delay = 0
mail_location = maildir:{folder}/mail/%n
first_valid_uid = 1
default_vsz_limit = 1G
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2
}}
passdb {{
  driver = passwd-file
  mechanisms = plain
  args = scheme=PLAIN username_format=%u {folder}/users
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""

_OAUTH2 = """
introspection_mode = post
introspection_url = {url}
active_attribute = active
active_value = true
username_attribute = username
"""


@dataclass(frozen=True)
class Dovecot:
    """A running instance with one user."""

    ports: dict[Security, int]
    ca_file: str
    log: Path
    introspection: Introspection

    def mailbox(self, **fields: Any) -> MailboxAccount:
        """The settings that reach it."""
        security = fields.pop("security", Security.TLS)
        defaults = {"ca_file": self.ca_file, "timeout_seconds": 10.0}
        given = {"username": USERNAME, "password": PASSWORD, **defaults, **fields}
        return MailboxAccount("127.0.0.1", port=self.ports[security], security=security, **given)

    @contextmanager
    def box(self, folder: str = "INBOX") -> Iterator[MailBoxUnencrypted]:
        """A mail program's view."""
        box = MailBoxUnencrypted("127.0.0.1", self.ports[Security.NONE])
        with box.login(USERNAME, PASSWORD, initial_folder=folder):
            yield box

    def put(self, *mails: bytes) -> None:
        """What somebody else's mail server does."""
        with self.box() as box:
            for mail in mails:
                box.append(mail)

    def count(self, folder: str = "INBOX", criteria: str = "ALL") -> int:
        """How many mails there are."""
        with self.box(folder) as box:
            return len(box.uids(criteria))

    def empty(self) -> None:
        """All folders as at the beginning."""
        with self.box() as box:
            box.delete(box.uids())
            for one in box.folder.list():
                if one.name != "INBOX":
                    box.folder.delete(one.name)


@contextmanager
def dovecot(certificates: Certificates) -> Iterator[Dovecot]:
    """Runs one. Skips where it is missing, but not in CI."""
    require(DOVECOT, "dovecot-imapd")
    ports = {Security.NONE: free_port(), Security.TLS: free_port()}
    ports[Security.STARTTLS] = ports[Security.NONE]
    with tempfile.TemporaryDirectory(prefix="mailsluice-dovecot-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # most of it gives up root
        config = _configure(folder, certificates, ports)
        with Introspection(USERNAME) as introspection:
            (folder / "oauth2").write_text(_OAUTH2.format(url=introspection.url))
            with running([DOVECOT, "-F", "-c", config]):
                wait_for(b"* OK", ports[Security.NONE], folder / "log")
                yield Dovecot(ports, certificates.ca_file, folder / "log", introspection)


def _configure(folder: Path, certificates: Certificates, ports: dict[Security, int]) -> Path:
    user = pwd.getpwnam("mail")
    (folder / "mail").mkdir()
    os.chown(folder / "mail", user.pw_uid, user.pw_gid)
    certificates.authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "server.pem")
    )
    (folder / "users").write_text(f"{USERNAME}:{{PLAIN}}{PASSWORD}\n")
    config = folder / "dovecot.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            uid=user.pw_uid,
            gid=user.pw_gid,
            port=ports[Security.NONE],
            tls_port=ports[Security.TLS],
        )
    )
    return config
