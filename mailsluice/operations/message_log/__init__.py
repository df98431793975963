"""The message log: one JSON line for each outcome and event, as the state database has them."""

from mailsluice.operations.message_log.addresses import Addresses, AddressForm
from mailsluice.operations.message_log.file_output import FileOutput, Rotation
from mailsluice.operations.message_log.follower import Follower, Looked
from mailsluice.operations.message_log.lines import Line, Output
from mailsluice.operations.message_log.outputs import open_output

__all__ = [
    "AddressForm",
    "Addresses",
    "FileOutput",
    "Follower",
    "Line",
    "Looked",
    "Output",
    "Rotation",
    "open_output",
]
