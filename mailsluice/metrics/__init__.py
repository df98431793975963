"""Metrics for Prometheus: named in one module, kept in files, and read as one sum for each machine.

Campaigns are sent by processes that live for minutes, so no process can be scraped. Each one keeps
its numbers in a file of the home folder instead, which it replaces every few seconds, from figures
that it has anyway: nothing is counted per message. What has ended is added to the machine's totals.
`prometheus_client` has a mode for several processes too, but keeps files of each process for ever.

The run of a campaign counts what all its senders do, also on other machines; senders write nothing.
"""
