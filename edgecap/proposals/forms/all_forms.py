"""All forms, in the order in which they are shown."""

from __future__ import annotations

from edgecap.proposals.forms import cloudflare, flowspec, nftables, tcpdump

FORMS = (cloudflare.FORM, tcpdump.FORM, nftables.FORM, flowspec.FORM)
