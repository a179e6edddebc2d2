"""Proposals as an incident keeps them: proven, not proven, and a vector without a filter."""

from edgecap.proposals.model import Counted, Proof, Proposal, Proposals, UsedCapture, WrittenForm
from tests.edgecap.report.summaries import START, TARGET


def proposals(name: str = ""):
    """Ordinary ones; every text is `name` if that is given."""

    def said(words: str) -> str:
        return name or words

    counted = Counted(matched=8_700, packets=8_776, share=0.99134, low=0.989, high=0.9932)
    usual = Counted(matched=3, packets=5_210, share=0.000576, low=0.000119, high=0.001682)
    text = f'ip.dst in {{{TARGET}}} and ip.proto eq "tcp" and tcp.flags.syn and not tcp.flags.ack and '
    text += "ip.len eq 44"
    forms = (
        WrittenForm(name="cloudflare", title=said("Cloudflare Network Firewall"), text=said(text)),
        WrittenForm(
            name="flowspec", title=said("BGP FlowSpec"), cannot=said("FlowSpec cannot look at the TTL")
        ),
    )
    proven = Proposal(
        vector=said(f"TCP SYN packets to {TARGET}"),
        packets=8_776,
        share=0.71,
        grade="proven",
        filter=said(f"IPv4 TCP to {TARGET} to port 443, 44 bytes long"),
        why=said("it matches 99.1% of the attack"),
        proof=Proof(attack=counted, attack_share=0.998, baseline=usual),
        forms=forms,
        remarks=(said("it also stops usual traffic: 12 of 12 baseline packets of UDP from port 123"),),
    )
    unproven = proven.model_copy(
        update={
            "grade": "unproven",
            "why": said("there is no baseline"),
            "proof": Proof(attack=counted, attack_share=0.99),
        }
    )
    none = proven.model_copy(update={"grade": "none", "forms": (), "why": said("usual packets look like it")})
    used = UsedCapture(name=said("during 1 (0af1)"), sampled=False, packets=12_000, first=START, last=START)
    return Proposals(
        made=START,
        attack=(used,),
        baseline=(used,),
        assumption=said("the attack is what is more frequent"),
        proposals=(proven, unproven, none),
        remarks=(said("usual traffic is that until then"),),
    )
