"""The summary of a file, without a command."""

from edgecap.packets.flow_table import FlowTable
from edgecap.packets.reader import open_packets
from edgecap.packets.summarize import summarize


def summary_of(path):
    """Count a file's packets, and summarize them as unfiltered and unsampled."""
    tally = FlowTable()
    with open_packets(path) as reader:
        for batch in reader:
            tally.feed(batch, reader.interfaces)
    tally.finish()
    return summarize(tally)
