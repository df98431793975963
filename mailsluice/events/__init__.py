"""Events of providers about messages that they have accepted: delivered, bounced, complained.

A relay's 250 means that the relay has queued the message. What became of the message arrives later
as events: pushed to a web hook, pulled from an API, or exported to a file. All three are read here
into the same values; each provider has a module that knows its format. Pure.
"""
