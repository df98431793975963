"""The compiled message, which is filled in for each recipient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.utils import format_datetime
from hashlib import blake2b

import idna

from mailsluice.campaign import Message, SenderIdentity
from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import MessageError
from mailsluice.core.named_address import addr_spec, parse_mailbox
from mailsluice.message.attachments import read_attachments
from mailsluice.message.body import encode_body
from mailsluice.message.content import Content, Shape
from mailsluice.message.headers import address_field, field, fold, mailbox, one_line
from mailsluice.message.identity import ascii_domain, digests
from mailsluice.message.inline_images import read_images, with_content_ids
from mailsluice.message.provider_fields import ProviderFields, provider_fields
from mailsluice.message.return_path import return_paths
from mailsluice.message.skeleton import mime_skeleton
from mailsluice.message.stencil import Stencil, Stencils
from mailsluice.message.unsubscribing import Unsubscribing, unsubscribing

_SECOND = timedelta(seconds=1)
_NO_IDENTITY = SenderIdentity()


def compile_message(
    message: Message,
    *,
    campaign: str,
    columns: Collection[str],
    now: Callable[[], datetime],
    return_key: str | None = None,
    identity: SenderIdentity = _NO_IDENTITY,
) -> CompiledMessage:
    """Check and compile a message for an audience with these columns.

    Templates may use every column by its name or its slug ("First Name" as `first_name`), and
    `email`, the recipient's address. HTML and text may also use `unsubscribe_url`, if the message
    or the identity has an address for that. Attachments are read here, once.

    Args:
        message: The message of the campaign's document.
        campaign: The campaign's name.
        columns: The columns of the audience.
        now: Returns an aware time, for Date.
        return_key: The campaign's secret. With it, Message-IDs and recipient tokens cannot be
            forged, and a message with a return path, or unsubscribe links of Mailsluice, has these
            for each recipient.
        identity: Who the mail is from on the connection that the message is for. Message-IDs do
            not depend on it.

    Raises:
        MessageError: A template does not parse or uses a variable that the audience does not have,
            the HTML cannot be made into text, a file cannot be read or is not what it
            should be, the HTML shows an unknown inline image, no header can hold
            the sender or reply address, or an extra header does not fit the provider's.
    """
    id_domain = _mailbox("sender", message.sender).domain
    provider = provider_fields(identity, (*message.headers, *identity.headers))
    message = identity.applied_to(message)
    extra = [header for header in identity.headers if header.name.lower() not in provider.taken]
    images = read_images(message, id_domain)
    content = Content(
        message.model_copy(update={"html": with_content_ids(message.html, images)}),
        columns,
        extra,
        has_link=identity.one_click_url is not None,
        calendar=message.calendar,
    )
    sender = _mailbox("sender", message.sender)
    attachments = read_attachments(message)
    if content.calendar and (file := content.calendar.file):
        attachments = (*attachments, file)
    fixed = _fixed_fields(message, sender, provider) + content.fixed_headers + provider.fixed
    marker = f"=_{blake2b(message.model_dump_json().encode(), digest_size=12).hexdigest()}"
    return CompiledMessage(
        content,
        return_path=_return_path_of(message, sender, return_key),
        digest=digests(campaign, return_key),
        id_domain=id_domain,
        fixed=fixed,
        around_token=provider.around_token,
        unsubscribing=unsubscribing(identity, return_key),
        skeleton=mime_skeleton(
            content.subtypes,
            attachments,
            marker,
            images,
            content.calendar.method if content.calendar else None,
        ),
        marker=marker.encode(),
        now=now,
    )


class CompiledMessage:
    """A message ready to be filled in; threads may share it."""

    def __init__(
        self,
        content: Content,
        *,
        return_path: str | Callable[[int], str],
        digest: Callable[[str], str],
        id_domain: str,
        fixed: str,
        around_token: Sequence[str],
        unsubscribing: Callable[[int, str | None], Unsubscribing],
        skeleton: tuple[bytes, ...],
        marker: bytes,
        now: Callable[[], datetime],
    ) -> None:
        """Prepare the message; `compile_message` has checked its parts.

        Args:
            content: The templates.
            return_path: The envelope sender: of everybody, or by the recipient's id.
            digest: Returns what precedes the @ of the Message-ID, for a recipient's address.
            id_domain: The domain of Message-IDs.
            fixed: The header fields that are the same for all recipients.
            around_token: The pieces of the provider's fields around the recipient's token.
            unsubscribing: How a recipient unsubscribes, by the row's id and the sender's own page.
            skeleton: The MIME structure around the bodies (see `mime_skeleton`).
            marker: The beginning of the boundaries.
            now: Returns an aware time, for Date.
        """
        self._content = content
        self._return_path = return_path
        self._digest = digest
        self._id_domain = id_domain
        self._fixed = fixed
        self._around_token = around_token
        self._unsubscribing = unsubscribing
        self._has_headers = content.has_headers
        self._smtputf8 = not fixed.isascii()
        self._skeleton = skeleton
        self._marker = marker
        self._is_head_dotless = "\n." not in fixed  # other lines begin with a name or a space
        self._stencils = Stencils(self._cut)
        shape = content.example_shape()
        example = self._stencils.keep(shape) if shape else None
        self._only_stencil = example if content.has_one_shape else None
        self._now = now
        never = datetime.min.replace(tzinfo=UTC)
        self._date = (never, never, "")

    def render(
        self, recipient_id: int, email: str, variables: Mapping[str, str], to: str | None = None
    ) -> Envelope:
        """Render the message for one recipient.

        Args:
            recipient_id: The id of the recipient's row.
            email: The recipient's address.
            variables: The columns of the recipient's row.
            to: Another address that gets the recipient's message, for a test.

        Raises:
            MessageError: The row's values cannot be put into the message, which is a fault of the
                row and not of the campaign. The text does not contain the address.
        """
        values = self._content.values(email, variables)
        unsubscribe, page = self._unsubscribing(recipient_id, self._content.unsubscribe_url(values))
        to = to or email
        head = self._head(recipient_id, to, self._content.subject(values), unsubscribe)
        if self._has_headers:
            head += self._content.headers(values)
        if page:
            values["unsubscribe_url"] = page
        smtputf8 = self._smtputf8 or not to.isascii()
        path = self._return_path
        sender = path if isinstance(path, str) else path(recipient_id)
        if filled := self._filled(head, values):
            content, is_dotless = filled
            is_dotless = is_dotless and self._is_head_dotless
            return Envelope(recipient_id, sender, to, content, smtputf8, is_dotless)
        return Envelope(recipient_id, sender, to, self._encoded(head, values), smtputf8)

    def _filled(self, head: str, values: Mapping[str, str]) -> tuple[bytes, bool] | None:
        """Fill in the values by a stencil; None where they have to be rendered."""
        try:
            if self._only_stencil:
                return self._only_stencil.fill(head, values)
            shape = self._content.shape(values)
            stencil = self._stencils.get(shape) if shape else None
            return stencil.fill(head, values) if stencil else None
        except (KeyError, UnicodeError):  # rendering will raise an error that says what is wrong
            return None

    def _cut(self, shape: Shape) -> Stencil:
        return Stencil(self._content.outlines(shape), self._skeleton, self._marker.decode())

    def _encoded(self, head: str, values: Mapping[str, str]) -> bytes:
        """Return the whole message, with its bodies encoded for these values."""
        before, *rest = self._skeleton
        pieces = [head.encode(), before]
        for body, after in zip(self._content.bodies(values), rest, strict=True):
            pieces += (encode_body(body, self._marker), after)
        return b"".join(pieces)

    def _head(self, recipient_id: int, email: str, subject: str, unsubscribe: str) -> str:
        digest, around_token = self._digest(email), self._around_token
        return (
            f"{self._fixed}To: {address_field(email)}\r\n"
            f"{field('Subject', subject)}"
            f"Date: {self._date_now()}\r\n"
            f"Message-ID: <{digest}@{self._id_domain}>\r\n"
            f"{unsubscribe}"
            f"{f'{recipient_id}-{digest}'.join(around_token) if around_token else ''}"
        )

    def _date_now(self) -> str:
        """Return the date (RFC 5322 section 3.3) in UTC, which is formatted once a second."""
        moment = self._now()
        since, until, date = self._date
        if not since <= moment < until:
            since, date = moment.replace(microsecond=0), format_datetime(moment.astimezone(UTC))
            self._date = (since, since + _SECOND, date)
        return date


def _fixed_fields(message: Message, sender: Address, provider: ProviderFields) -> str:
    """Return the message's own header fields that are the same for all recipients."""
    fields = [fold("From", mailbox(sender))]
    if message.reply_to:
        fields.append(fold("Reply-To", mailbox(_mailbox("reply_to", message.reply_to))))
    fields += [
        (fold if extra.value.isascii() and extra.value.isprintable() else field)(
            extra.name,
            one_line(extra.value),  # a run of blanks would be folded into blank lines
        )
        for extra in message.headers
        if extra.name.lower() not in provider.taken
    ]
    return "".join(fields)


def _return_path_of(
    message: Message, sender: Address, key: str | None
) -> str | Callable[[int], str]:
    if message.return_path is None:
        return address_field(addr_spec(sender.username, sender.domain))
    _mailbox("return_path", message.return_path)
    return message.return_path if key is None else return_paths(message.return_path, key)


def _mailbox(name: str, value: str) -> Address:
    """Parse a mailbox, put its domain into ASCII (RFC 5891), and check that it fits a header."""
    address = parse_mailbox(value)
    try:
        ascii_address = Address(address.display_name, address.username, ascii_domain(value))
        mailbox(ascii_address)
    except (idna.IDNAError, MessageError) as error:
        raise MessageError(
            f"{name}: no header can hold this address ({type(error).__name__}): write it as "
            "Name <user@example.com>"
        ) from None
    return ascii_address
