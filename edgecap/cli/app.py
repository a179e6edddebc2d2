"""The commands of `edgecap`, registered by path: each is imported when it runs, so that `--help` is fast."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, Parameter

import edgecap
from edgecap.cli.exits import exit_summary
from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json
from edgecap.cli.usage import Help

HELP_WIDTH = 110  # columns, where no terminal says how wide it is
_EPILOGUE = (
    "Data goes to stdout, all else to stderr; --json prints one JSON document. Settings come from "
    "edgecap.toml, or the file that EDGECAP_CONFIG names, and from the environment (docs/settings.md). "
    "`edgecap --install-completion` lets your shell complete commands and options."
)

app = App(
    name="edgecap",
    help="Packet captures at Cloudflare's edge: taken, waited for, verified and kept.",
    help_epilogue=f"{_EPILOGUE}\n\n{exit_summary()}",
    help_format="plaintext",
    version=lambda: edgecap.__version__,  # reading it takes time
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)
app.help_formatter = Help(app)
capture = App(
    name="capture",
    help="Take a packet capture now, wait for it and archive it.",
    help_epilogue="",
    sort_key=2.5,
)
bucket = App(
    name="bucket", help="Buckets that Cloudflare writes full captures to.", help_epilogue="", sort_key=9
)
archive = App(name="archive", help="The archive, where captures are kept.", help_epilogue="", sort_key=8.5)
alert = App(
    name="alert",
    help="Alerts: send one again, preview its captures, list those that arrived.",
    help_epilogue="",
    sort_key=9.2,
)
incident = App(
    name="incident",
    help="Incidents: alerts that led to captures, and those captures.",
    help_epilogue="",
    sort_key=9.4,
)
policy = App(name="policy", help="Which alerts lead to which captures.", help_epilogue="", sort_key=9.6)


def version(*, json: Json = False) -> None:
    """Print the version."""
    if json:
        print_json({"version": edgecap.__version__})
    else:
        console().print(edgecap.__version__)


# Name, import path, help; the help's first line appears in the list of all commands.
COMMANDS = (
    (
        "demo",
        "edgecap.cli.demo:demo",
        """Show the main job on this machine: no account, no cloud, nothing to set up.

        Starts a Prefect server, a worker, an S3 server and a simulated Cloudflare edge on loopback.
        A schedule takes a simple capture, a full capture runs at ORD, and an alert becomes an incident.
        Then it shows the archive. Runs until Ctrl-C.""",
    ),
    (
        "up",
        "edgecap.cli.up:up",
        """Run everything here: Prefect server, workers, the deployments of prefect.yaml.

        The settings must name an account and an archive. A program that ends is started again. Runs
        until Ctrl-C or SIGTERM, and then stops everything.""",
    ),
    (
        "receive",
        "edgecap.cli.receive:receive",
        """Take alerts: a capture starts when one fires.

        Takes alerts from Cloudflare, Alertmanager, Grafana, PagerDuty, Datadog, FastNetMon and any JSON.
        The settings' [alerts.NAME] switch a source on and hold its secret. The receiver answers 202 once
        the alert is on disk; the incident starts as soon as Prefect answers. Runs until Ctrl-C or
        SIGTERM.""",
    ),
    (
        "explain",
        "edgecap.cli.explain:explain",
        """Show which part of a filter the API applies, and which part edgecap applies.

        Takes a filter as for tcpdump. If it has an `or`, also shows the captures with which the API would
        apply more, as command lines. Needs neither an account nor Prefect, and uses `bounds` of the settings.
        If the filter is wrong, exits with 2 and libpcap's message.""",
    ),
    (
        "where",
        "edgecap.cli.where:where",
        """Show which data centres carry a target's packets, and where full captures would go.

        Asks Cloudflare's Network Analytics. The token needs the permission Account Analytics: Read
        (docs/network-analytics.md). Exits with 4 if it lacks it, and with 7 if there is no answer; then says
        where a capture would go all the same.""",
    ),
    (
        "drops",
        "edgecap.cli.drops:drops",
        """Show what Cloudflare's edge passed and dropped of the packets to a target.

        By mitigation system, rule, attack vector, source network, country and data centre. Of an incident:
        what was written down when it was closed, or later. Of an address or network: asks Network Analytics
        now, and reads Logpush's rows if the settings name their bucket (docs/network-analytics.md). Exits
        with 4 if the token lacks Account Analytics: Read, and with 7 if there is no answer.""",
    ),
    (
        "deploy",
        "edgecap.cli.deploy:deploy",
        """Prepare a Prefect server of your own: pool, queues, deployments.

        PREFECT_API_URL names the server; without it, the server of `edgecap up` in this folder gets what
        changed in your prefect.yaml. `edgecap up` also does this when it starts.""",
    ),
    (
        "worker",
        "edgecap.cli.worker:worker",
        """Run a worker for a Prefect server of your own, in the folder with edgecap.toml.

        Checks the settings, the archives and the server first. PREFECT_API_URL names the server; run
        `edgecap deploy` for it once. `edgecap up` has its own workers; beside it, this is one more for its
        server. Runs until Ctrl-C or SIGTERM.""",
    ),
    (
        "simulate",
        "edgecap.cli.simulate:simulate",
        """Simulate a Cloudflare edge on this machine.

        Has the same API, limits, states and ownership challenges, and writes files to your bucket, or to
        one that --with-bucket brings. Prints the lines that point a client at it: after
        `edgecap simulate > edge.env &` and `. ./edge.env`, edgecap, curl or the official SDK talk to it.
        Runs until Ctrl-C or SIGTERM.""",
    ),
    (
        "lanes",
        "edgecap.cli.lanes:lanes",
        """Show each lane: the capture that runs, the runs that wait, and when each may start.

        An account may start one simple capture a minute, and have one full capture at a time. Captures
        that people start in the dashboard count too.""",
    ),
    (
        "cancel",
        "edgecap.cli.cancel:cancel",
        """Cancel a run that waits or captures, or stop a full capture.

        Stops the run's full capture at Cloudflare, which may lose packets that are not saved yet. Saved
        packets are fetched and kept, and the lane is free again. The button in Prefect's UI does the same.
        A capture's id works too, without a Prefect server and for captures that people started in the
        dashboard; for those it asks first. Exits with 19 if the capture may go on.""",
    ),
    (
        "reconcile",
        "edgecap.cli.reconcile:reconcile",
        """Resume dead runs, import captures that no run fetched, remove temporary files.

        `edgecap up` does so every ten minutes, and when a run dies.""",
    ),
    (
        "resolve",
        "edgecap.cli.resolve:resolve",
        """Tell edgecap whether Cloudflare accepted a request that its list does not show.

        For a run that failed with exit code 18: the connection broke during its POST, and newer captures have
        pushed its capture out of Cloudflare's list. Without an option, shows the captures that may be the
        run's. edgecap does not repeat the POST by itself.""",
    ),
    (
        "summary",
        "edgecap.cli.summary:summary_command",
        """Summarize capture files: verdict, top talkers, volume, times.

        Reads any pcap or pcapng. Needs no settings, no account and no Prefect.""",
    ),
    (
        "merge",
        "edgecap.cli.merge:merge_command",
        """Merge capture files by time into one pcapng, in which each packet keeps its source.

        Needs no settings, no account and no Prefect. Memory use does not depend on the files' size.""",
    ),
    ("list", "edgecap.cli.archive:list_command", "List the entries of the archive, newest first."),
    ("show", "edgecap.cli.archive:show", "Show one entry: request, capture, files with hashes and counts."),
    (
        "get",
        "edgecap.cli.get:get",
        """Bring the packets of an entry or an incident out of the archive, verified.

        Writes all packets of a capture as one file, to open it in Wireshark or to hand it on, and verifies
        its SHA-256 against the manifest: the file gets its name only if it is whole. Of an incident, writes
        one file for each capture into a folder, named with the phase and the data centre, such as
        during-1-ORD.pcapng; or one file of all packets; or a zip of packets and reports. On stdout, the exit
        code 10 says that the bytes were damaged.""",
    ),
    (
        "report",
        "edgecap.cli.report:report",
        """Write the report of an entry or an incident as one HTML file.

        Shows the verdict, a timeline, talkers, sizes, differences from earlier captures, and the files with
        their hashes; for an incident, all of its captures in one chart. The file has no scripts and loads
        nothing, so you can mail it, print it, or attach it to a ticket.""",
    ),
    (
        "propose",
        "edgecap.cli.propose:propose_command",
        """Propose filters against an attack, each with its proof. Changes nothing anywhere.

        For each vector of the attack, finds the smallest filter that separates it from usual traffic, the
        baseline, and prints it for Cloudflare's Network Firewall, tcpdump, nftables and BGP FlowSpec, with
        the share of the attack and of the baseline that it matches. If no filter is good enough, says so, and
        why. Takes a capture, an incident, or any file of packets.""",
    ),
    (
        "verify",
        "edgecap.cli.verify:verify",
        """Read every byte and compare it with the manifests.

        Exits with 10 if packets are lost. Exits with 8 if the store could not be read; nothing is known about
        those entries then. Lists leftovers of interrupted attempts, and keeps them.""",
    ),
)
CAPTURE_COMMANDS = (
    (
        "simple",
        "edgecap.cli.capture:simple",
        """Look back at sampled packet headers in all data centres.

        Cloudflare allows an account one request a minute; the command waits for its turn.""",
    ),
    (
        "full",
        "edgecap.cli.capture:full",
        """Record every packet, whole, at one data centre from now on.

        With --colo auto, Network Analytics says which data centre carries most of the packets to the
        destination (docs/network-analytics.md); `edgecap where` shows it beforehand.

        Cloudflare writes the packets to your bucket (run `edgecap bucket register` once before), and edgecap
        fetches them there. Cloudflare allows an account one at a time; the command waits for its turn. At a
        terminal, Ctrl-C asks whether to stop the capture at Cloudflare; in a script it stops it.""",
    ),
)
BUCKET_COMMANDS = (
    (
        "register",
        "edgecap.cli.bucket:register_command",
        """Prove to Cloudflare that a bucket is yours, once, before its first full capture.

        Cloudflare writes a challenge file into the bucket; edgecap reads it and sends its content back. If
        the bucket is registered already, nothing changes.""",
    ),
    (
        "policy",
        "edgecap.cli.rights:bucket_policy",
        """Print the minimal rights of a bucket's keys.

        For S3 a policy as JSON, for GCS commands, for R2 the kind of token; explanations go to stderr. With
        --cloudflare, prints what Cloudflare needs to write captures to the bucket.""",
    ),
)
ARCHIVE_COMMANDS = (
    (
        "policy",
        "edgecap.cli.rights:archive_policy",
        """Print the minimal rights of an archive's keys.

        For S3 a policy as JSON, for GCS commands, for R2 the kind of token; explanations go to stderr.
        edgecap only adds to an archive, so its keys need no right to delete.""",
    ),
)
ALERT_COMMANDS = (
    (
        "replay",
        "edgecap.cli.alert:replay_command",
        """Send a payload to the receiver, as its product would.

        Sends the secret of the settings in the header or the signature that the product uses. Everything that
        follows is real, captures included. Use it to try a source; docs/alerts has a page on each.""",
    ),
    (
        "explain",
        "edgecap.cli.alert:explain",
        """Show what edgecap would capture for a payload, and why. Captures nothing.

        Shows the `request` of each capture, as prefect.yaml has it. A payload with several alerts has a plan
        for each. Earlier incidents and used budgets are not taken into account.""",
    ),
    (
        "list",
        "edgecap.cli.alert:list_command",
        "List the alerts that this machine's receiver took, newest first, and what each led to.",
    ),
)
INCIDENT_COMMANDS = (
    (
        "list",
        "edgecap.cli.incident:list_command",
        """List incidents, newest first: open ones and closed ones.

        From the archive, and from the receiver's inbox if it is on this machine.""",
    ),
    (
        "show",
        "edgecap.cli.incident:show",
        "Show one incident: its alert, its captures, and the rule that decided.",
    ),
)
POLICY_COMMANDS = (
    (
        "check",
        "edgecap.cli.policy:check",
        """Explain the policy in words, rule by rule.

        If the policy is wrong, exits with 3 and names the place. Warns of rules that can never match.""",
    ),
)
GROUPS = {
    "capture": (capture, CAPTURE_COMMANDS),
    "archive": (archive, ARCHIVE_COMMANDS),
    "bucket": (bucket, BUCKET_COMMANDS),
    "alert": (alert, ALERT_COMMANDS),
    "incident": (incident, INCIDENT_COMMANDS),
    "policy": (policy, POLICY_COMMANDS),
}


def _register(parent: App, commands: Sequence[tuple[str, str, str]]) -> None:
    for place, (name, home, text) in enumerate(commands):
        paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
        parent.command(home, name=name, help="\n\n".join(paragraphs), sort_key=place, help_epilogue="")


_register(app, COMMANDS)
for _group, _commands in GROUPS.values():
    _register(_group, _commands)
    app.command(_group)
app.command(version, help_epilogue="", sort_key=99)
app.register_install_completion_command(
    name="--install-completion", help="Let your shell complete commands and options.", help_epilogue=""
)
