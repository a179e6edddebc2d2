"""Settings: from TOML and the environment, secrets unseen, and one clear line for each error."""

import os
import re
from pathlib import Path

import pytest

from edgecap.errors import ConfigError
from edgecap.settings import BASE_URL, Account, Settings, StoreLocation, load_settings
from edgecap.settings.variables import check_variables

TOML = """
[accounts.default]
account_id = "from-file"
api_token = "token-from-file"

[accounts.lab]
account_id = "lab"
email = "noc@example.net"
api_key = "key-of-lab"
base_url = "http://127.0.0.1:1/client/v4"

[buckets.default]
uri = "s3://pcaps/edge?region=eu-west-1"
endpoint_url = "http://127.0.0.1:2"
access_key_id = "AKIDAKID"
secret_access_key = "SECRETSECRET"

[archives.default]
uri = "file:/var/lib/edgecap"

[bounds]
full_time_limit = 300

[timing]
poll_most = 5
"""


@pytest.fixture
def settings_from(tmp_path, monkeypatch):
    """Reads settings from a file's text and variables; the environment is this process's only one."""
    for name in os.environ:
        if name.startswith(("EDGECAP_", "CLOUDFLARE_")):
            monkeypatch.delenv(name)

    def read(text: str | bytes | None = None, **variables: str):
        path = tmp_path / "edgecap.toml"
        if text is not None:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            monkeypatch.setenv("EDGECAP_CONFIG", str(path))
        else:
            monkeypatch.chdir(tmp_path)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return read


def test_reads_everything_from_the_file(settings_from):
    settings = settings_from(TOML)
    assert settings.account().api_token.get_secret_value() == "token-from-file"
    assert settings.account().base_url == BASE_URL
    assert settings.account("lab").email == "noc@example.net"
    assert settings.bucket().secret_access_key.get_secret_value() == "SECRETSECRET"
    assert settings.archive().uri == "file:/var/lib/edgecap"
    assert (settings.bounds.full_time_limit, settings.bounds.simple_time_limit) == (300, 300)
    assert settings.timing.poll_most == 5


def test_is_usable_with_no_file_at_all(settings_from):
    settings = settings_from(
        CLOUDFLARE_ACCOUNT_ID="acc",
        CLOUDFLARE_API_TOKEN="tok",
        EDGECAP_ARCHIVES__MAIN__URI="s3://archive?region=eu-west-1",
    )
    assert settings.account().account_id == "acc"
    assert settings.archive("main").uri == "s3://archive?region=eu-west-1"


def test_an_edgecap_toml_in_the_working_folder_is_read(settings_from, tmp_path):
    (tmp_path / "edgecap.toml").write_text(TOML)
    assert settings_from().account("lab").account_id == "lab"


def test_the_environment_counts_more_than_the_file(settings_from):
    settings = settings_from(
        TOML,
        EDGECAP_BUCKETS__DEFAULT__URI="s3://other",
        EDGECAP_TIMING__POLL_MOST="7",
        EDGECAP_ACCOUNTS__LAB__EMAIL="other@example.net",
    )
    assert settings.bucket().uri == "s3://other"
    assert settings.bucket().access_key_id.get_secret_value() == "AKIDAKID"
    assert settings.timing.poll_most == 7
    assert settings.account("lab").email == "other@example.net"


def test_the_sdk_s_variables_are_the_default_account_s_and_count_most(settings_from):
    settings = settings_from(
        TOML,
        CLOUDFLARE_ACCOUNT_ID="sdk",
        CLOUDFLARE_API_TOKEN="token-of-sdk",
        CLOUDFLARE_EMAIL="sdk@example.net",
        CLOUDFLARE_API_KEY="key-of-sdk",
        CLOUDFLARE_BASE_URL="http://127.0.0.1:3",
    )
    account = settings.account()
    assert account.account_id == "sdk"
    assert account.api_token.get_secret_value() == "token-of-sdk"
    assert account.email == "sdk@example.net"
    assert account.api_key.get_secret_value() == "key-of-sdk"
    assert account.base_url == "http://127.0.0.1:3"
    assert settings.account("lab").account_id == "lab"


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        ("a = ", {}, "the settings cannot be read"),
        (b"\xff\xfe", {}, "the settings cannot be read"),
        ("[acounts.default]\napi_token = 'SECRETSECRET'", {}, "unknown setting acounts"),
        ("[accounts.default]\napi_tokn = 'SECRETSECRET'", {}, "accounts.default.api_tokn"),
        ("[accounts.default]\napi_tokn = 'SECRETSECRET'", {}, "did you mean accounts.default.api_token?"),
        ("[archive.default]\nuri = 'file:/a'", {}, "unknown setting archive"),
        ("[archive.default]\nuri = 'file:/a'", {}, "did you mean archives?"),
        ("[receiver]\nreport_ur = 'SECRETSECRET'", {}, "did you mean receiver.report_url?"),
        ("[alerts.kentik]\nsecret = 'SECRETSECRET'", {}, "a source of your own is [alerts.custom.kentik];"),
        ("[alerts.graphana]\nsecret = 'SECRETSECRET'", {}, "did you mean alerts.grafana?"),
        ("[alerts.custom.mine]\ntargt = '/a'", {}, "did you mean alerts.custom.mine.target?"),
        ("", {"EDGECAP_ALERTS__KENTIK__SECRET": "SECRETSECRET"}, "[alerts.custom.kentik]"),
        ("[zzz]\na = 1", {}, "unknown setting zzz"),
        ("accounts = 'SECRETSECRET'", {}, "accounts: Input should be"),
        ("[timing]\nsettle = 'SECRETSECRET'", {}, "timing.settle"),
        ("[timing]\nsettle = -1", {}, "timing.settle"),
        ("[bounds]\npacket_limit = 0", {}, "bounds.packet_limit"),
        ("[buckets.default]\nendpoint_url = 'http://127.0.0.1'", {}, "buckets.default.uri"),
        ("", {"EDGECAP_TIMING__SETLE": "3"}, "unknown setting EDGECAP_TIMING__SETLE"),
        ("", {"EDGECAP_TIMING__SETTLE": "no"}, "EDGECAP_TIMING__SETTLE: Input should be"),
        (
            "",
            {"EDGECAP_TIMIN__MARGIN": "3"},
            "unknown setting EDGECAP_TIMIN__MARGIN (the environment); did you",
        ),
        ("", {"EDGECAP_TIMIN__MARGIN": "3"}, "did you mean EDGECAP_TIMING__MARGIN?"),
        ("", {"EDGECAP_X__Y": "3"}, "unknown setting EDGECAP_X__Y (the environment); docs/settings.md"),
        ("", {"EDGECAP_TIMING_MARGIN": "3"}, "did you mean EDGECAP_TIMING__MARGIN?"),
        ("", {"EDGECAP_HOEM": "state"}, "did you mean EDGECAP_HOME?"),
        ("", {"EDGECAP_ACCOUNTS": "SECRETSECRET"}, 'field "accounts"'),
        ("", {"EDGECAP_BOUNDS": "{SECRETSECRET"}, 'field "bounds"'),
    ],
)
def test_a_settings_error_is_one_line_without_a_secret(settings_from, text, variables, says):
    with pytest.raises(ConfigError) as caught:
        settings_from(text, **variables)
    line = str(caught.value)
    assert says in line
    assert "SECRET" not in line
    assert "\n" not in line
    assert caught.value.hint


def test_variables_that_kubernetes_makes_for_a_service_are_no_settings(settings_from):
    """A pod has them if a service is called `edgecap` or `edgecap-receiver`."""
    names = ("EDGECAP_SERVICE_HOST", "EDGECAP_PORT_4200_TCP", "EDGECAP_RECEIVER_SERVICE_PORT")
    settings = settings_from(
        "", **dict.fromkeys(names, "10.0.0.1"), EDGECAP_RECEIVER_PORT="tcp://10.0.0.1:4280", EDGECAP_DEBUG="1"
    )
    assert settings.receiver.port == 4280


def test_edgecap_s_own_variables_are_not_refused(settings_from):
    """Those that its processes set for each other, and those of tests and benches."""
    root = Path(__file__).parents[3]
    names = {
        name
        for folder in ("edgecap", "deployments", "tasks", "flows", "benches", "tests/faults")
        for path in (root / folder).rglob("*.py")
        for name in re.findall(r"\bEDGECAP_[A-Z]+(?:_[A-Z]+)*\b(?!_)", path.read_text())
    }
    plain = {name for name in names if name.removeprefix("EDGECAP_").lower() not in Settings.model_fields}
    assert len(plain) > 9
    check_variables(dict.fromkeys(plain, "1"))


def test_a_file_that_is_named_but_missing_is_an_error(settings_from, monkeypatch):
    with pytest.raises(ConfigError, match="does not exist"):
        settings_from(EDGECAP_CONFIG="/nowhere/edgecap.toml")


@pytest.mark.parametrize(
    ("look", "says"),
    [
        (lambda settings: settings.account("nope"), "no account is called 'nope' (known: default, lab)"),
        (lambda settings: settings.bucket("nope"), "no bucket is called 'nope' (known: default)"),
        (lambda settings: settings.archive("nope"), "no archive is called 'nope' (known: default)"),
    ],
)
def test_an_unknown_name_says_which_are_known(settings_from, look, says):
    settings = settings_from(TOML)
    with pytest.raises(ConfigError) as caught:
        look(settings)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("account", "says"),
    [
        (Account(), "no account_id"),
        (Account(account_id=" ", api_token="t"), "no account_id"),
        (Account(account_id="a"), "no credentials"),
        (Account(account_id="a", api_token=" \n"), "no credentials"),
        (Account(account_id="a", email="e"), "no credentials"),
        (Account(account_id="a", api_key="k"), "no credentials"),
        (Account(account_id="a", api_key="k", email=""), "no credentials"),
    ],
)
def test_an_account_that_cannot_sign_in_is_found_before_anything_is_sent(settings_from, account, says):
    settings = settings_from("")
    settings.accounts["default"] = account
    with pytest.raises(ConfigError, match=says) as caught:
        settings.account()
    assert "CLOUDFLARE_" in caught.value.hint


def test_no_secret_is_seen_in_what_settings_print_or_dump(settings_from):
    settings = settings_from(
        TOML,
        CLOUDFLARE_API_TOKEN="SECRETTOKEN",
        EDGECAP_BUCKETS__R2__URI="r2://b?account-id=1&access-key-id=SECRETKEY&secret-access-key=SECRET/1",
        EDGECAP_BUCKETS__HALF__URI="r2://b?account-id=1&secret-access-key=SECRETHALF",
    )
    for shown in (repr(settings), str(settings), repr(settings.bucket("r2")), repr(settings.bucket("half"))):
        assert "SECRET" not in shown
        assert "key-of-lab" not in shown
    assert "SECRETKEY" not in settings.model_dump_json()


class TestKeysInAUri:
    def test_move_to_where_they_are_secret(self):
        place = StoreLocation(uri="r2://b/dir?account-id=1&Access-Key-Id=AK&secret-access-key=S%2FK%2B+")
        assert place.uri == "r2://b/dir?account-id=1"
        assert place.access_key_id.get_secret_value() == "AK"
        assert place.secret_access_key.get_secret_value() == "S/K++"

    def test_count_less_than_those_beside_it(self):
        place = StoreLocation(
            uri="r2://b?access-key-id=a&secret-access-key=b", access_key_id="A", secret_access_key="B"
        )
        assert place.uri == "r2://b"
        assert place.access_key_id.get_secret_value() == "A"
        assert place.secret_access_key.get_secret_value() == "B"

    @pytest.mark.parametrize(
        "uri", ["s3://b/dir?region=eu-west-1&sse=AES256", "file:/a?b", "gs://b", "r2://b?x"]
    )
    def test_a_uri_without_them_is_kept_as_it_is(self, uri):
        assert StoreLocation(uri=uri).uri == uri


def test_a_folder_where_the_file_should_be_is_an_error(settings_from, tmp_path):
    with pytest.raises(ConfigError):
        settings_from(EDGECAP_CONFIG=str(tmp_path))
    assert Path(tmp_path).is_dir()


def test_a_bucket_and_an_archive_that_overlap_are_refused(settings_from):
    """The URI of another bucket is wrong. Only a command that uses that bucket reports it."""
    text = """
[buckets.wrong]
uri = "s3://B"
[buckets.edge]
uri = "s3://pcaps"
[archives.main]
uri = "s3://pcaps/archive"
"""
    with pytest.raises(ConfigError, match=r"bucket 'edge' and archive 'main' overlap .*neither may contain"):
        settings_from(text)
    assert settings_from(text.replace('s3://pcaps"', 's3://pcaps/in"')).archives


def test_a_file_that_changed_is_read_anew_at_once(monkeypatch, tmp_path):
    """So each step of a run has the credentials of its moment, and none has to be restarted for a new one."""
    file = tmp_path / "edgecap.toml"
    monkeypatch.setenv("EDGECAP_CONFIG", str(file))
    for name in ("CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for token in ("old", "new"):
        file.write_text(f'[accounts.default]\naccount_id = "a"\napi_token = "{token}"\n')
        token_read = load_settings().account().api_token
        assert token_read
        assert token_read.get_secret_value() == token
