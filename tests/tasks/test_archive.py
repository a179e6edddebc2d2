"""The line of a capture's run in Prefect's UI."""

from tasks.archive import EntrySummary


def said(**facts):
    found = {"capture_id": "2565" + "0af1" * 7, "where": "file:/a/b/", "files": 1, "packets": 5, "bytes": 9}
    return str(EntrySummary(**{**found, "state": "complete", **facts}))


def test_a_run_without_packets_says_where_the_causes_are():
    assert said(state="empty", flags=("empty",), packets=0, verdict="No packets.") == (
        "No packets: `edgecap show 25650af1` and this run's artifact say the likely causes. file:/a/b/"
    )
    assert said(state="empty", flags=("empty", "stopped"), packets=0).startswith("No packets (stopped): ")


def test_a_flag_that_says_what_the_state_says_is_not_repeated():
    assert said(state="partial", flags=("partial", "too-large"), verdict="Quiet.") == (
        "5 packets in 1 file, partial (too-large). Quiet. file:/a/b/"
    )
