"""`explain`: what of a filter the API does, without settings, an account or Prefect."""

import json
import re
import shlex
from pathlib import Path

import pytest

from edgecap.archive.journal import Journal
from tests.edgecap.cli.conftest import ACCOUNT


def lines(done):
    """Label and value of each line."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [(line[:28].strip(), line[28:]) for line in done.stdout.splitlines()]


def test_what_is_sent_and_what_is_applied_afterwards(call):
    expression = "udp and src port 53 and net 203.0.113.0/24"
    done = lines(call("explain", expression))
    command = done[-1][1]
    assert done[:-1] == [
        ("sent to the API", 'udp :53 > any  {"filter_v1": {"source_port": 53, "protocol": 17}}'),
        ("applied after the download", "net 203.0.113.0/24"),
        ("note", "203.0.113.0/24 is a network, and the API documents only single addresses"),
    ]
    assert shlex.split(command)[1:] == ["capture", "simple", "--filter", expression]


def test_the_words_may_stand_without_quotes(call):
    assert call("explain", "udp", "src", "port", "53").stdout == call("explain", "udp src port 53").stdout


def test_an_or_is_split_into_the_captures_that_do_it_all(call):
    done = lines(call("explain", "udp and (src port 53 or src port 123)"))
    assert done[1] == ("applied after the download", "src port 53 or src port 123")
    assert done[3] == ("or", "with 2 captures the API would apply all of it")
    assert [shlex.split(value)[1:] for _, value in done[4:]] == [
        ["capture", "simple", "--sport", "53", "--proto", "udp"],
        ["capture", "simple", "--sport", "123", "--proto", "udp"],
    ]


def test_the_residual_of_several_captures_is_printed(call):
    done = lines(call("explain", "host 203.0.113.7 and greater 100"))
    assert done[3] == ("or", "with 2 captures the API would apply more of it")
    assert shlex.split(done[4][1])[3:] == ["--src", "203.0.113.7", "--filter", "greater 100"]
    assert done[5] == ("applied afterwards", "greater 100")


def test_of_many_captures_some_are_shown_and_json_has_all(call):
    expression = "udp src port " + " or ".join(map(str, range(1, 13)))
    done = lines(call("explain", expression))
    assert ("or", "with 12 captures the API would apply more of it") in done
    assert done[-1] == ("", "and 4 more, which --json lists")
    document = json.loads(call("explain", "--json", expression).stdout)
    assert document["captures"] == len(document["alternatives"]) == 12
    assert document["alternatives"][11]["filter_v1"] == {"source_port": 12, "protocol": 17}
    assert {each["residual"] for each in document["alternatives"]} == {""}


def test_json(call):
    document = json.loads(call("explain", "udp and less 100", "--json").stdout)
    command = document.pop("command")
    assert shlex.split(command)[1:] == ["capture", "simple", "--filter", "udp and less 100"]
    narrower = document.pop("alternatives")
    assert document == {
        "expression": "udp and less 100",
        "filter_v1": {"protocol": 17},
        "residual": "less 100",
        "captures": 1,
        "notes": [],
    }
    assert [each["filter_v1"] for each in narrower] == [{"protocol": 17}]


def test_the_api_s_abilities_come_from_the_settings(call, shell):
    assert ("applied after the download", "src net 203.0.113.0/24") in lines(
        call("explain", "src net 203.0.113.0/24")
    )
    (shell.folder / "edgecap.toml").write_text("[bounds]\ncidr_filters = true\n")
    done = lines(call("explain", "src net 203.0.113.0/24"))
    assert done[0][1].endswith('{"filter_v1": {"source_address": "203.0.113.0/24"}}')
    assert done[1] == ("applied after the download", "nothing: the API applies all of it")


def test_a_name_is_looked_up_but_no_capture_takes_it(call):
    done = lines(call("explain", "src host localhost and udp"))
    assert done[2] == (
        "note",
        "localhost: looked up just now; a capture accepts only addresses, so give those",
    )
    assert "capture" not in dict(done)
    assert json.loads(call("explain", "host localhost", "--json").stdout)["command"] is None


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("udp and", "can't parse filter expression: syntax error ('udp and')"),
        ("port 99999", "illegal port number 99999 > 65535"),
        ("tcp and udp src port 53", "expression rejects all packets"),
    ],
)
def test_an_expression_that_libpcap_refuses_is_one_line(call, expression, says):
    done = call("explain", expression)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("edgecap: the filter is not valid: ")
    assert says in line


def test_an_expression_cannot_control_the_terminal(call):
    done = call("explain", "udp and\r\nless 100")
    assert done.returncode == 0
    assert "\r" not in done.stdout


def test_it_works_as_a_program_of_its_own_without_prefect(shell):
    """Prefect would be imported in a second; that it is not is also seen by what is loaded."""
    done = shell.run("explain", "udp", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "edgecap.filters.translate" in done.stderr
    assert "prefect" not in done.stderr
    assert list(shell.folder.iterdir()) == []


def test_the_documentation_shows_what_it_prints(call):
    page = (Path(__file__).parents[3] / "docs" / "capture.md").read_text()
    shown = re.findall(r"^\$ edgecap explain (.*)\n((?:[^$`].*\n)+)", page, re.MULTILINE)
    assert len(shown) == 2
    for arguments, output in shown:
        done = call("explain", *shlex.split(arguments))
        assert re.sub(r"\S+ capture simple", "edgecap capture simple", done.stdout) == output


class TestCapture:
    """The filter of `edgecap capture`."""

    def test_a_dry_run_shows_the_body_and_what_is_left(self, call, edge):
        arguments = ["--dst", "203.0.113.7", "--filter", "udp and src port 53 and less 100", "--dry-run"]
        done = call("capture", "simple", *arguments)
        assert done.returncode == 0, done.stderr
        assert "applied afterwards  less 100" in done.stdout
        said = json.loads(call("capture", "simple", *arguments, "--json").stdout)
        assert said["body"]["filter_v1"] == {
            "destination_address": "203.0.113.7",
            "source_port": 53,
            "protocol": 17,
        }
        assert said["residual"] == "less 100"
        assert said["url"].endswith(f"/accounts/{ACCOUNT}/pcaps")

    def test_a_dry_run_without_a_residual_does_not_speak_of_it(self, call, edge):
        done = call("capture", "simple", "--filter", "udp", "--dry-run")
        assert done.returncode == 0, done.stderr
        assert "afterwards" not in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--filter", "udp and"], "the filter is not valid: can't parse filter expression: syntax error"),
            (["--filter", "host example.net"], "the filter has the unknown word 'example.net'"),
            (["--proto", "tcp", "--filter", "udp"], "no packet can match: --proto is tcp, and --filter"),
        ],
    )
    def test_a_wrong_one_is_refused_before_anything_is_asked(self, call, edge, store, arguments, says):
        for kind in (["simple"], ["full", "--colo", "ORD"]):
            done = call("capture", *kind, *arguments, PREFECT_API_URL="http://127.0.0.1:1/api")
            assert (done.returncode, done.stdout) == (2, "")
            (line,) = done.stderr.splitlines()
            assert says in line
        assert not edge.log.events("request")
        assert not list(Journal(store).records())
