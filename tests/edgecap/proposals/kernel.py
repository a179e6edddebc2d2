"""The kernel's own nftables: rules are loaded, packets are sent, and counters say which rules matched.

Runs in a user and a network namespace of its own, so it needs no rights and touches nothing::

    unshare --net python kernel.py

Reads one JSON document from each line of stdin, `{"rules": [...], "frames": [hex, ...]}`, and answers with a
line: a list for each frame, of the numbers of the rules that matched it.
"""

import json
import socket
import subprocess
import sys
import time

SENDER = bytes.fromhex("020000000007")  # no other packet of this interface has this source
TOGETHER = 60.0  # seconds until a packet has to be there


def main() -> None:
    for command in (
        "ip link add va type veth peer name vb",
        "ip link set va up",
        "ip link set vb up",
    ):
        subprocess.run(command.split(), check=True)
    receiver = bytes.fromhex(json.loads(out("ip", "-j", "link", "show", "vb"))[0]["address"].replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("va", 0))
        for line in sys.stdin:
            asked = json.loads(line)
            load(asked["rules"])
            found = [
                matched(sender, receiver + SENDER + bytes.fromhex(each)[12:]) for each in asked["frames"]
            ]
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


def load(rules: list[str]) -> None:
    """One chain with a counter for each rule, and one for all of our packets behind them."""
    mine = f"ether saddr {SENDER.hex(':')}"
    chain = "\n".join(f"{mine} {each}" for each in [*rules, "counter"])
    text = f"table inet t {{\nchain c {{\ntype filter hook prerouting priority raw;\n{chain}\n}}\n}}\n"
    subprocess.run(["nft", "-f", "-"], input=f"flush ruleset\n{text}", text=True, check=True)


def matched(sender: socket.socket, frame: bytes) -> list[int]:
    """The rules that match one frame, by their counters."""
    before = counts()
    sender.send(frame)
    give_up = time.monotonic() + TOGETHER
    while (after := counts())[-1] == before[-1]:
        if time.monotonic() > give_up:
            raise SystemExit("the packet did not arrive")
    return [number for number in range(len(after) - 1) if after[number] > before[number]]


def counts() -> list[int]:
    listed = json.loads(out("nft", "-j", "list", "chain", "inet", "t", "c"))["nftables"]
    rules = [each["rule"]["expr"] for each in listed if "rule" in each]
    return [part["counter"]["packets"] for rule in rules for part in rule if "counter" in part]


def out(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
