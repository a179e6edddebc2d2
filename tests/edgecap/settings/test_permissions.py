"""What other users could read or change is named, and refused if the settings say so."""

import pytest

from edgecap.errors import ConfigError
from edgecap.settings import load_settings
from edgecap.settings.permissions import open_to_others

SECRET = '[accounts.default]\naccount_id = "a"\napi_token = "hush"\n'


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes edgecap.toml with an archive beside it, both private but for the given modes."""
    file, archive = tmp_path / "edgecap.toml", tmp_path / "archive"
    monkeypatch.setenv("EDGECAP_CONFIG", str(file))
    for name in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID"):
        monkeypatch.delenv(name, raising=False)

    def written(text=SECRET, *, head="", mode=0o600, archive_mode=0o700):
        archive.mkdir(exist_ok=True)
        archive.chmod(archive_mode)
        file.write_text(f'{head}\n{text}\n[archives.default]\nuri = "file:{archive}"\n')
        file.chmod(mode)

    return written


@pytest.mark.parametrize(
    ("mode", "can"), [(0o644, "read"), (0o640, "read"), (0o620, "change"), (0o666, "read and change")]
)
def test_settings_with_a_secret_that_others_can_open_are_named(write, mode, can):
    write(mode=mode)
    [line] = open_to_others(load_settings())
    assert line.startswith(f"Other users can {can} the settings, with secrets, in ")
    assert "chmod 600" in line
    assert "hush" not in line


def test_private_settings_and_archives_pass(write):
    write(head="strict_permissions = true")
    assert open_to_others(load_settings()) == []


def test_readable_settings_without_a_secret_pass(write, monkeypatch):
    """The token is in the environment."""
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "elsewhere")
    write("[accounts.default]\naccount_id = 'a'", mode=0o644)
    assert open_to_others(load_settings()) == []
    write("[accounts.default]\naccount_id = 'a'", mode=0o664)
    [line] = open_to_others(load_settings())
    assert line.startswith("Other users can change the settings in ")


def test_an_archive_that_others_can_enter_is_named(write):
    write(archive_mode=0o755)
    [line] = open_to_others(load_settings())
    assert line.startswith("Other users can read the archive 'default' in ")


def test_a_key_file_that_others_can_read_is_named(write, tmp_path):
    key = tmp_path / "key.json"
    key.write_text("{}")
    key.chmod(0o644)
    write(f'{SECRET}[buckets.default]\nuri = "gs://b"\ncredentials_file = "{key}"')
    [line] = open_to_others(load_settings())
    assert line.startswith("Other users can read a key file in ")


@pytest.mark.parametrize("modes", [{"mode": 0o644}, {"archive_mode": 0o755}])
def test_strict_permissions_refuse(write, modes):
    write(head="strict_permissions = true", **modes)
    with pytest.raises(ConfigError, match="strict_permissions") as refused:
        load_settings()
    assert refused.value.exit_code == 3
    write(head="strict_permissions = false", **modes)
    load_settings()
