"""Entry point of the `edgecap` command: the commands, and how each of their ends becomes an exit code.

Commands are named by where they live and imported when they run, so that `--help` and `version` are quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from edgecap import __version__
from edgecap.cli.exits import INTERRUPTED, USAGE, complain, exit_summary, report
from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json, quiet_ending

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
    version=__version__,
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)
capture = App(
    name="capture", help="Take a packet capture now, wait for it and keep it.", help_epilogue="", sort_key=2.5
)
bucket = App(
    name="bucket", help="Buckets that Cloudflare writes full captures to.", help_epilogue="", sort_key=9
)
archive = App(name="archive", help="Where captures are kept.", help_epilogue="", sort_key=8.5)
alert = App(
    name="alert",
    help="Alerts: send one again, see what would follow, what came.",
    help_epilogue="",
    sort_key=9.2,
)
incident = App(
    name="incident",
    help="Alerts that led to captures, and what became of them.",
    help_epilogue="",
    sort_key=9.4,
)
policy = App(name="policy", help="Which alerts lead to which captures.", help_epilogue="", sort_key=9.6)


def version(*, json: Json = False) -> None:
    """Print the version."""
    if json:
        print_json({"version": __version__})
    else:
        console().print(__version__)


# Name, where it lives, what its help says; the first line stands in the list of all commands.
COMMANDS = (
    (
        "demo",
        "edgecap.cli.demo:demo",
        """See the main job on this machine: no account, no cloud, nothing to set up.

        Starts a Prefect server, a worker, an S3 server and a simulated Cloudflare edge on loopback,
        takes a simple capture by a schedule and a full one at ORD, answers an attack's alert with an
        incident, and shows what was archived. Stays up until Ctrl-C.""",
    ),
    (
        "up",
        "edgecap.cli.up:up",
        """Run it all here: Prefect server, workers and the deployments of prefect.yaml.

        Needs an account and an archive in the settings. A program that ends is started again. Stays
        up until Ctrl-C or SIGTERM, and then stops everything.""",
    ),
    (
        "receive",
        "edgecap.cli.receive:receive",
        """Take alerts: a capture starts when one fires.

        Listens for Cloudflare, Alertmanager, Grafana, PagerDuty, Datadog, FastNetMon and any JSON; the
        settings' [alerts.NAME] say which, and their secrets. What is answered 202 is on disk, and becomes an
        incident as soon as Prefect is there. Stays up until Ctrl-C or SIGTERM.""",
    ),
    (
        "explain",
        "edgecap.cli.explain:explain",
        """Say what of a filter the API does, and what is left to do after the download.

        The filter is one as for tcpdump. Where it has an `or`, the captures that would let the API do more
        are named, as command lines. Needs neither an account nor Prefect; `bounds` of the settings count.
        Ends with exit code 2 and libpcap's words if it is wrong.""",
    ),
    (
        "deploy",
        "edgecap.cli.deploy:deploy",
        """Make a Prefect server of your own ready: the pool, its queues, the deployments of prefect.yaml.

        The server is the one that PREFECT_API_URL names. `edgecap up` runs one of its own, and does
        this for it.""",
    ),
    (
        "worker",
        "edgecap.cli.worker:worker",
        """Run a worker for a Prefect server of your own, in the folder with edgecap.toml.

        Checks the settings, the archives and the server first. PREFECT_API_URL names the server, on which
        `edgecap deploy` was run once. `edgecap up` has its own workers. Stays up until Ctrl-C or SIGTERM.""",
    ),
    (
        "simulate",
        "edgecap.cli.simulate:simulate",
        """Be a Cloudflare edge on this machine.

        The same API, limits, states, ownership challenges and files in your bucket. It prints the
        lines that point a client at it: after `edgecap simulate > edge.env &` and `. ./edge.env`,
        edgecap, curl or the official SDK talk to it. Stays up until Ctrl-C or SIGTERM.""",
    ),
    (
        "lanes",
        "edgecap.cli.lanes:lanes",
        """Show each lane: what runs, who waits, when each may start.

        An account may start one simple capture a minute, and have one full capture at a time; captures
        that people start in the dashboard count.""",
    ),
    (
        "cancel",
        "edgecap.cli.cancel:cancel",
        """Cancel a run that waits or captures, or stop a full capture.

        A run's full capture is stopped at Cloudflare, which may lose what is not saved yet; what Cloudflare
        saved is fetched and kept, and the lane is free again. The button in Prefect's UI does the same. A
        capture's id will do as well, also where no Prefect server runs, and for a capture that somebody
        started in the dashboard: then it asks first. Ends with exit code 19 if the capture may go on.""",
    ),
    (
        "reconcile",
        "edgecap.cli.reconcile:reconcile",
        """Finish or clean what was left behind: lost captures, dead runs, temporary files.

        `edgecap up` does so every ten minutes, and whenever a run dies.""",
    ),
    (
        "resolve",
        "edgecap.cli.resolve:resolve",
        """Say what became of a request, where Cloudflare's list of captures cannot tell.

        For a run that failed with exit code 18. The connection broke during its POST, and newer captures have
        pushed its own out of Cloudflare's list. Without an option, this shows the captures that may be its
        own. edgecap does not repeat the POST by itself.""",
    ),
    (
        "summary",
        "edgecap.cli.summary:summary_command",
        """Say what is in files of packets: what it looks like, who talks, how much, when.

        Any pcap or pcapng will do; it needs no settings, no account and no Prefect.""",
    ),
    (
        "merge",
        "edgecap.cli.summary:merge_command",
        """Merge files of packets by time into one pcapng, in which each packet keeps its source.

        It needs no settings, no account and no Prefect; memory does not grow with the files.""",
    ),
    ("list", "edgecap.cli.archive:list_command", "List what the archive holds, newest first."),
    ("show", "edgecap.cli.archive:show", "Show one entry: request, capture, files with hashes and counts."),
    (
        "report",
        "edgecap.cli.report:report",
        """Write the report of an entry or an incident: one HTML file, which needs nothing else.

        What it looks like, timeline, talkers, sizes, what differs from the captures before, the files with
        their hashes; of an incident, all of its captures in one picture. It has no scripts and loads nothing,
        so it can be mailed, printed, or attached to a ticket.""",
    ),
    (
        "verify",
        "edgecap.cli.archive:verify",
        """Read every byte and hold it against the manifests.

        Ends with exit code 10 if packets are lost, and with 8 if only the store did not give something, of
        which nothing is known then. What an interrupted attempt left behind is only named.""",
    ),
)
CAPTURE_COMMANDS = (
    (
        "simple",
        "edgecap.cli.capture:simple",
        """Look back at sampled packet headers in all data centres.

        One request a minute is allowed for an account; this waits for its turn.""",
    ),
    (
        "full",
        "edgecap.cli.capture:full",
        """Record every packet, whole, at one data centre from now on.

        Cloudflare writes the packets to your bucket (`edgecap bucket register` once before), from
        where they are fetched. One at a time is allowed for an account; this waits for its turn. Ctrl-C
        asks at a terminal whether to stop it at Cloudflare, and stops it where there is none.""",
    ),
)
BUCKET_COMMANDS = (
    (
        "register",
        "edgecap.cli.bucket:register_command",
        """Prove to Cloudflare that a bucket is ours, once, before its first full capture.

        Cloudflare writes a challenge file into the bucket; it is read, and its content sent back. A
        bucket that is registered already is left as it is.""",
    ),
    (
        "policy",
        "edgecap.cli.rights:bucket_policy",
        """Print what the keys of a bucket must be allowed to do, and nothing more.

        For S3 a policy as JSON, for GCS commands, for R2 the kind of token; explanations go to stderr. With
        --cloudflare, what Cloudflare needs to write captures to the bucket.""",
    ),
)
ARCHIVE_COMMANDS = (
    (
        "policy",
        "edgecap.cli.rights:archive_policy",
        """Print what the keys of an archive must be allowed to do, and nothing more.

        For S3 a policy as JSON, for GCS commands, for R2 the kind of token; explanations go to stderr. An
        archive is only added to, so deleting is not among them.""",
    ),
)
ALERT_COMMANDS = (
    (
        "replay",
        "edgecap.cli.alert:replay_command",
        """Send a payload to the receiver, as its product does.

        With the secret of the settings, in the header or as the signature that the product would send; so
        all that follows is real, captures too. The way to try a source: docs/alerts has a page on each.""",
    ),
    (
        "explain",
        "edgecap.cli.alert:explain",
        """Say what would be captured for a payload, and why. Nothing is done.

        A payload with several alerts has a plan for each. What was taken before, by which alerts join and
        budgets run out, does not count here.""",
    ),
    (
        "list",
        "edgecap.cli.alert:list_command",
        "List the alerts that this machine's receiver took, newest first, and what came of them.",
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
        "Show one incident: its alert, its captures, and why it was decided so.",
    ),
)
POLICY_COMMANDS = (
    (
        "check",
        "edgecap.cli.policy:check",
        """Read the policy and say what it means, rule by rule.

        Ends with exit code 3 and the place if it is wrong. A rule that can never match is warned of.""",
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


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        with quiet_ending():
            app(
                arguments,
                console=console(width=HELP_WIDTH),
                error_console=console(sys.stderr),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
    except CycloptsError as error:
        complain(f"{str(error).rstrip('.')}; `edgecap [COMMAND] --help` shows what there is")
        return USAGE
    except KeyboardInterrupt as stopped:
        complain(str(stopped) or "interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends as one line and a code
        return report(error)
    return 0


def main() -> None:
    """Run the command line."""
    sys.exit(run(sys.argv[1:]))
