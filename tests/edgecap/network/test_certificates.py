"""One rule says which certificates are trusted, and a variable that names none is refused."""

import os
import ssl
from pathlib import Path

import certifi
import pytest

from edgecap.errors import ConfigError
from edgecap.network import certificates, check_network
from edgecap.network.certificates import BESIDES, INSTEAD, Trust
from edgecap.network.environment import network_environment

SYSTEM = [name for name in certificates._SYSTEM_FILES if Path(name).is_file()]


@pytest.fixture(scope="module")
def pem():
    """One certificate of an authority."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----\n"
    text = Path(certifi.where()).read_text()
    return text[text.index(begin) : text.index(end) + len(end)]


@pytest.mark.parametrize("variable", [*INSTEAD, *BESIDES])
def test_a_path_that_is_not_there_is_refused_and_its_variable_named(variable, tmp_path):
    with pytest.raises(ConfigError) as refused:
        check_network({variable: str(tmp_path / "ca.pem")})
    assert str(refused.value).startswith(f"{variable}: {tmp_path / 'ca.pem'} cannot be read: No such file")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", *BESIDES])
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


def test_ssl_cert_file_takes_the_systems_place_and_the_others_come_besides(tmp_path, pem):
    file = tmp_path / "ca.pem"
    file.write_text(pem)
    alone = Trust.read({"SSL_CERT_FILE": str(file)})
    assert len(alone.context().get_ca_certs()) == 1
    assert str(alone) == "the certificates of SSL_CERT_FILE"
    both = Trust.read({"SSL_CERT_FILE": str(file), "AWS_CA_BUNDLE": certifi.where()})
    assert len(both.context().get_ca_certs()) > 50
    assert str(both) == "the certificates of SSL_CERT_FILE and AWS_CA_BUNDLE"
    besides = Trust.read({"AWS_CA_BUNDLE": str(file)})
    assert type(besides.context()).__module__.startswith("truststore")
    assert str(besides) == "the system's certificates and those of AWS_CA_BUNDLE"


def test_a_machine_without_certificates_has_those_that_come_with_edgecap(monkeypatch):
    monkeypatch.setattr(certificates, "_system_has_any", lambda: False)
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


def test_prefects_own_client_is_given_the_same_authorities(tmp_path, pem):
    file = tmp_path / "ca.pem"
    file.write_text(pem)
    told = network_environment({"REQUESTS_CA_BUNDLE": str(file)})
    assert told == {"PREFECT_API_SSL_CERT_FILE": str(file)}
    assert network_environment({"SSL_CERT_FILE": str(file)}) == {}  # Prefect reads that itself
    assert network_environment({"PREFECT_API_SSL_CERT_FILE": "/x", "REQUESTS_CA_BUNDLE": str(file)}) == {}
    if SYSTEM:
        assert network_environment({}) == {"PREFECT_API_SSL_CERT_FILE": Trust.read({}).file()}
