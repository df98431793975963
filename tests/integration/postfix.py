"""Debian's postfix, as an instance of the tests' own: files, queue and processes."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from deployments.server import free_port
from tests.integration.daemons import running, wait_for
from tests.integration.smtp_fixtures import Certificates

POSTFIX = "/usr/sbin/postfix"
MASTER = Path("/usr/lib/postfix/sbin/master")

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = postfix.example
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
virtual_mailbox_domains = example.com
virtual_mailbox_base = {mail}
virtual_mailbox_maps = {maps}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
message_size_limit = {size_limit}
smtpd_error_sleep_time = 0
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/refused
smtpd_tls_security_level = may
smtpd_tls_chain_files = {certificate}
relayhost = {next_hop}
"""
_REFUSED = "/^([45])(..)-at-rcpt/ ${1}${2} ${1}.2.1 as the address wants it\n"
_LISTENER = """
127.0.0.1:{port} inet n - n - - smtpd
  -o smtpd_discard_ehlo_keywords={withheld}
"""
_SERVICES = """
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
virtual unix - n n - - virtual
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Maildirs(NamedTuple):
    """Where another program keeps mail, and for whom."""

    base: Path
    by_address: Mapping[str, str]
    """The Maildir of an address below `base`, with a slash at its end."""
    user: str
    """The owner of the folder, who may write there."""


class Postfix:
    """A running instance; all that it takes lands in one Maildir."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self.ports = ports
        """By the EHLO keywords that it does not offer there."""
        self._inbox = folder / "mail/all/new"
        self._queue = folder / "queue"

    def is_idle(self) -> bool:
        """Whether all that it has accepted is delivered. Mail goes through its queues in order."""
        queues = (self._queue / name for name in ("incoming", "active", "deferred"))
        return not any(path.is_file() for queue in queues for path in queue.rglob("*"))

    def mail(self) -> list[bytes]:
        """What has been delivered so far."""
        return [path.read_bytes() for path in self._inbox.glob("*")]


@contextmanager
def postfix(
    certificates: Certificates,
    size_limit: int,
    withheld: Sequence[str],
    next_hop: int | None = None,
    maildirs: Maildirs | None = None,
) -> Iterator[Postfix]:
    """Runs one; for each of `withheld`, EHLO keywords joined by commas, it has a port.

    What is not for example.com goes on to the port `next_hop`. What is for it lands in one Maildir,
    or in `maildirs`.
    """
    ports = {one: free_port() for one in withheld}
    with tempfile.TemporaryDirectory(prefix="mailsluice-postfix-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # most of it gives up root
        config = _configure(folder, certificates, size_limit, ports, next_hop, maildirs)
        subprocess.run([POSTFIX, "-c", config, "check"], check=True, capture_output=True)
        with running([MASTER, "-c", config, "-d"]):
            for port in ports.values():
                wait_for(b"220", port, folder / "log")
            yield Postfix(folder, ports)


def _ids(user: str) -> tuple[int, int]:
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def _configure(
    folder: Path,
    certificates: Certificates,
    size_limit: int,
    ports: Mapping[str, int],
    next_hop: int | None,
    maildirs: Maildirs | None,
) -> Path:
    config, data, mail = (folder / name for name in ("etc", "data", "mail"))
    for one in (config, data, mail, folder / "queue"):
        one.mkdir()
    user = pwd.getpwnam(maildirs.user if maildirs else "postfix")
    addresses = maildirs.by_address.items() if maildirs else ()
    (folder / "mailboxes").write_text("".join(f"/^{name}$/ {path}\n" for name, path in addresses))
    os.chown(data, *_ids("postfix"))
    os.chown(mail, user.pw_uid, user.pw_gid)
    certificate = folder / "server.pem"
    certificates.authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(certificate)
    )
    (folder / "refused").write_text(_REFUSED)
    (config / "main.cf").write_text(
        _MAIN.format(
            folder=folder,
            mail=maildirs.base if maildirs else mail,
            maps=f"regexp:{folder}/mailboxes" if maildirs else "static:all/",
            uid=user.pw_uid,
            gid=user.pw_gid,
            size_limit=size_limit,
            certificate=certificate,
            next_hop=f"[127.0.0.1]:{next_hop}" if next_hop else "",
        )
    )
    listeners = [_LISTENER.format(withheld=one, port=port) for one, port in ports.items()]
    (config / "master.cf").write_text("".join([*listeners, _SERVICES]))
    return config
