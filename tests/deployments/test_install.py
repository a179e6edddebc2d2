"""`make` installs with uv from the index of the machine's pip, wherever that is configured."""

import base64
import hashlib
import os
import ssl
import subprocess
import sys
import threading
import zipfile
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deployments.install import pip_settings, uv_environment
from deployments.local.processes import LOOPBACK

SCRIPT = Path(__file__).parents[2] / "deployments/install.py"
# What says where packages come from, and what to trust, on the machine that runs this.
SET = ("PIP_", "UV_", "SSL_CERT", "REQUESTS_CA", "CURL_CA", "HTTP", "http", "ALL_PROXY", "all_proxy")


def test_the_last_section_that_names_an_option_counts():
    said = """\
:env:.cert='/from/the/environment.pem'
download.index-url='https://only-for-downloads.example/simple'
global.cert='/from/a/file.pem'
global.index-url='https://one.example/simple'
install.index-url='https://two.example/simple'
global.trusted-host='a.example\\nb.example'
"""
    assert pip_settings(said) == {
        "cert": "/from/the/environment.pem",
        "index-url": "https://two.example/simple",
        "trusted-host": "a.example\nb.example",
    }


def test_uv_gets_the_settings_of_pip(tmp_path):
    pip = {
        "index-url": "https://one.example/simple",
        "extra-index-url": "https://two.example/simple\nhttps://three.example/simple",
        "trusted-host": "a.example b.example",
        "find-links": "/wheels /more",
        "proxy": "http://proxy.example:3128",
        "no-index": "true",
        "cert": str(tmp_path),
    }
    assert uv_environment(pip, {}) == {
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple https://three.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "a.example b.example",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_NO_INDEX": "1",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "HTTP_PROXY": "http://proxy.example:3128",
        "SSL_CERT_DIR": str(tmp_path),
    }


def test_settings_of_uv_itself_are_kept():
    pip = {"index-url": "https://one.example/simple", "cert": "/pip.pem"}
    given = {"UV_DEFAULT_INDEX": "https://mine.example/simple", "SSL_CERT_FILE": "/other.pem"}
    assert uv_environment(pip, given) == {"SSL_CERT_FILE": "/pip.pem"}
    assert uv_environment({}, {"REQUESTS_CA_BUNDLE": "/bundle.pem"}) == {"SSL_CERT_FILE": "/bundle.pem"}
    assert uv_environment({}, {"SSL_CERT_FILE": "/mine.pem"}) == {}


def certificate(name, *, issuer=None):
    """A key and a certificate for `name`, signed by `issuer`, or an authority that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signed_by = issuer or (key, subject)
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signed_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return key, subject, made.public_bytes(serialization.Encoding.PEM)


def wheel(folder):
    """A package of one module, as an index offers it."""
    name = "edgecap_trial-1.0-py3-none-any.whl"
    info = "edgecap_trial-1.0.dist-info"
    files = {
        "edgecap_trial.py": b"",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: edgecap-trial\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    records = [f"{path},{digest(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*records, f"{info}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    (folder / "index.html").write_text(f'<a href="{name}">{name}</a>')


def digest(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture
def index(tmp_path):
    """A package index of one's own, whose certificate only its own authority vouches for: its pip.conf."""
    (tmp_path / "simple/edgecap-trial").mkdir(parents=True)
    wheel(tmp_path / "simple/edgecap-trial")
    authority_key, authority, trusted = certificate("an authority of this test")
    key, _, server_certificate = certificate("localhost", issuer=(authority_key, authority))
    (tmp_path / "trusted.pem").write_bytes(trusted)
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "server.pem").write_bytes(
        server_certificate + key.private_bytes(serialization.Encoding.PEM, *private)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = partial(Handler, directory=tmp_path)
    with ThreadingHTTPServer((LOOPBACK, 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"https://localhost:{server.server_port}/simple"
        config = tmp_path / "pip.conf"
        config.write_text(f"[global]\nindex-url = {address}\ncert = {tmp_path / 'trusted.pem'}\n")
        yield config
        server.shutdown()


def test_packages_come_from_the_index_of_pip_with_the_certificates_of_pip(index, tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith(SET)}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--target", tmp_path / "installed", "edgecap-trial"],
        env={**env, "PIP_CONFIG_FILE": str(index), "UV_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "installed/edgecap_trial.py").exists()
