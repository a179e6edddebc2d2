"""One rule says which certificates are trusted, and a variable that names none is refused."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from edgecap.errors import ConfigError
from edgecap.network import certificates, check_network
from edgecap.network.certificates import ADDITIONAL, REPLACING, Trust
from edgecap.network.environment import network_environment

SYSTEM = [name for name in certificates.SYSTEM_FILES if Path(name).is_file()]


@pytest.fixture(scope="module")
def pem():
    """One certificate of an authority."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----\n"
    text = Path(certifi.where()).read_text()
    return text[text.index(begin) : text.index(end) + len(end)]


@pytest.mark.parametrize("variable", [*REPLACING, *ADDITIONAL])
def test_a_path_that_is_not_there_is_refused_and_its_variable_named(variable, tmp_path):
    with pytest.raises(ConfigError) as refused:
        check_network({variable: str(tmp_path / "ca.pem")})
    assert str(refused.value).startswith(f"{variable}: {tmp_path / 'ca.pem'} cannot be read: No such file")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", *ADDITIONAL])
@pytest.mark.parametrize("content", ["", "nothing of the kind\n", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_without_a_certificate_is_refused(variable, content, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text(content)
    with pytest.raises(ConfigError, match=f"{variable}: .* holds no certificate"):
        check_network({variable: str(file)})


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_folder_without_names_of_openssl_is_refused(variable, tmp_path, pem):
    (tmp_path / "corp.pem").write_text(pem)
    with pytest.raises(ConfigError, match=f"{variable}: .*openssl rehash"):
        check_network({variable: str(tmp_path)})
    (tmp_path / "0a1b2c3d.0").write_text(pem)
    check_network({variable: str(tmp_path)})


def test_ssl_cert_file_replaces_the_system_store_and_others_add_to_it(tmp_path, pem):
    file = tmp_path / "ca.pem"
    file.write_text(pem)
    alone = Trust.read({"SSL_CERT_FILE": str(file)})
    assert len(alone.context().get_ca_certs()) == 1
    assert str(alone) == "the certificates of SSL_CERT_FILE"
    both = Trust.read({"SSL_CERT_FILE": str(file), "AWS_CA_BUNDLE": certifi.where()})
    assert len(both.context().get_ca_certs()) > 50
    assert str(both) == "the certificates of SSL_CERT_FILE and AWS_CA_BUNDLE"
    additional = Trust.read({"AWS_CA_BUNDLE": str(file)})
    assert type(additional.context()).__module__.startswith("truststore")
    assert str(additional) == "the system's certificates and those of AWS_CA_BUNDLE"


def test_a_machine_without_certificates_has_those_that_come_with_edgecap(monkeypatch):
    monkeypatch.setattr(certificates, "SYSTEM_FILES", ())
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(cafile=None, capath=None))
    assert len(Trust.read({}).context().get_ca_certs()) > 50


def test_a_file_that_loses_its_certificate_is_noticed(tmp_path, pem):
    file = tmp_path / "ca.pem"
    file.write_text(pem)
    check_network({"AWS_CA_BUNDLE": str(file)})
    file.write_text("")
    os.utime(file, ns=(1, 1))  # a clock's tick may be longer than this test
    with pytest.raises(ConfigError, match="holds no certificate"):
        check_network({"AWS_CA_BUNDLE": str(file)})


def test_contexts_verify_certificates_and_names():
    context = Trust.read({}).context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def certificates_in(path):
    return len(ssl.create_default_context(cafile=path).get_ca_certs())


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """Where this user's files go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


@pytest.fixture
def companies(tmp_path):
    """The files of two authorities that no system trusts."""
    made = []
    for name in ("one", "two"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Company {name}")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        made.append(tmp_path / f"{name}.pem")
        made[-1].write_bytes(builder.sign(key, SHA256()).public_bytes(serialization.Encoding.PEM))
    return made


def test_prefects_own_client_trusts_all_authorities_that_are_named_and_the_systems(companies, own_folder):
    one, two = map(str, companies)
    told = network_environment({"REQUESTS_CA_BUNDLE": one, "AWS_CA_BUNDLE": two})
    file = Path(told.pop("PREFECT_API_SSL_CERT_FILE"))
    assert told == {}
    alone = Trust.read({}).pem()
    assert alone.count(b"BEGIN CERTIFICATE") > 50
    assert certificates_in(file) == alone.count(b"BEGIN CERTIFICATE") + 2
    for name in (one, two):
        assert Path(name).read_text().strip() in file.read_text()


def test_prefects_own_client_trusts_what_ssl_cert_file_and_the_others_name(companies, own_folder):
    one, two = map(str, companies)
    told = network_environment({"SSL_CERT_FILE": one, "AWS_CA_BUNDLE": two})
    assert certificates_in(told["PREFECT_API_SSL_CERT_FILE"]) == 2
    assert network_environment({"SSL_CERT_FILE": one}) == {}  # Prefect reads that itself


def test_prefects_own_client_is_given_a_file_for_a_folder_of_certificates(companies, own_folder, tmp_path):
    folder = tmp_path / "ca"
    folder.mkdir()
    for place, company in enumerate(companies):
        company.rename(folder / f"0a1b2c3d.{place}")
    told = network_environment({"SSL_CERT_DIR": str(folder)})
    assert certificates_in(told["PREFECT_API_SSL_CERT_FILE"]) == 2


def test_the_file_for_prefect_is_private_and_written_once(companies, own_folder):
    given = {"AWS_CA_BUNDLE": str(companies[0])}
    first = Path(network_environment(given)["PREFECT_API_SSL_CERT_FILE"])
    written = first.stat()
    assert network_environment(given)["PREFECT_API_SSL_CERT_FILE"] == str(first)
    assert first.stat().st_ino == written.st_ino
    assert own_folder in first.parents
    assert first.parent.stat().st_mode & 0o077 == 0
    assert list(first.parent.iterdir()) == [first]
    given["AWS_CA_BUNDLE"] = str(companies[1])
    assert network_environment(given)["PREFECT_API_SSL_CERT_FILE"] != str(first)


def test_prefects_own_client_keeps_the_file_that_it_was_given(companies):
    given = {"PREFECT_API_SSL_CERT_FILE": "/x", "REQUESTS_CA_BUNDLE": str(companies[0])}
    assert network_environment(given) == {}
    if SYSTEM:
        assert network_environment({}) == {"PREFECT_API_SSL_CERT_FILE": Trust.read({}).system_file()}


def test_a_private_key_beside_a_certificate_is_not_copied(companies, own_folder):
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    companies[0].write_bytes(key + companies[0].read_bytes())
    told = network_environment({"AWS_CA_BUNDLE": str(companies[0])})
    assert "PRIVATE" not in Path(told["PREFECT_API_SSL_CERT_FILE"]).read_text()
