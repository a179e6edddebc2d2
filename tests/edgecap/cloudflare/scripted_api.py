"""A scripted API for the client's tests: answers made up in advance, and every operation to ask for."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import httpx

from edgecap.cloudflare.client import Client
from edgecap.settings import Account

OPENAPI = json.loads((Path(__file__).parents[2] / "data/pcaps-openapi.json").read_text())
ACCOUNT_ID = "023e105f4ecef8ad9ca31a8372d0c353"
ACCOUNT = Account(account_id=ACCOUNT_ID, api_token="0123456789-secret-token")
ID = "66802ca5668e47a2b82c2e6746e45037"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CAPTURE = {"id": ID, "type": "simple", "status": "pending"}
OWNERSHIP = {"id": ID, "status": "pending", "filename": "ownership-challenge.txt"}
PCAP = "application/vnd.tcpdump.pcap"


def ok(result, **headers):
    return httpx.Response(
        200, json={"result": result, "success": True, "errors": [], "messages": []}, headers=headers
    )


def no(status, code=1000, message="no", **headers):
    body = {"result": None, "success": False, "errors": [{"code": code, "message": message}], "messages": []}
    return httpx.Response(
        status, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


class Body(httpx.AsyncByteStream):
    def __init__(self, *chunks):
        self.chunks = chunks

    async def __aiter__(self):
        for chunk in self.chunks:
            yield chunk


class Api:
    """Answers in the order given, the last one for ever, and keeps what was asked and how long was waited."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.waits = []

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)

    async def sleep(self, seconds):
        self.waits.append(seconds)

    def client(self, account=ACCOUNT, **options):
        options = {"clock": lambda: NOW, "rng": random.Random(7), "sleep": self.sleep} | options
        return Client(account, transport=httpx.MockTransport(self), **options)


async def read(client):
    async with client.download(ID) as download:
        return b"".join([chunk async for chunk in download])


# operation of the OpenAPI document: the call, an answer, the body that is sent
DESTINATION = "s3://bucket?region=us-east-1"
SIMPLE = {"type": "simple", "system": "magic-transit", "time_limit": 60, "packet_limit": 10}
OPERATIONS = {
    "magic-pcap-collection-list-packet-capture-requests": (lambda c: c.list_captures(), ok([CAPTURE]), None),
    "magic-pcap-collection-create-pcap-request": (lambda c: c.create_capture(SIMPLE), ok(CAPTURE), SIMPLE),
    "magic-pcap-collection-get-pcap-request": (lambda c: c.get_capture(ID), ok(CAPTURE), None),
    "magic-pcap-collection-download-simple-pcap": (
        read,
        httpx.Response(200, headers={"content-type": PCAP}, stream=Body(b"pc", b"ap")),
        None,
    ),
    "magic-pcap-collection-stop-full-pcap": (lambda c: c.stop_capture(ID), httpx.Response(204), None),
    "magic-pcap-collection-list-pca-ps-bucket-ownership": (
        lambda c: c.list_ownerships(),
        ok([OWNERSHIP]),
        None,
    ),
    "magic-pcap-collection-add-buckets-for-full-packet-captures": (
        lambda c: c.create_ownership(DESTINATION),
        ok(OWNERSHIP),
        {"destination_conf": DESTINATION},
    ),
    "magic-pcap-collection-validate-buckets-for-full-packet-captures": (
        lambda c: c.validate_ownership(DESTINATION, "proof"),
        ok(OWNERSHIP),
        {"destination_conf": DESTINATION, "ownership_challenge": "proof"},
    ),
    "magic-pcap-collection-delete-buckets-for-full-packet-captures": (
        lambda c: c.delete_ownership(ID),
        httpx.Response(204),
        None,
    ),
}
DOCUMENTED = {
    operation["operationId"]: (method.upper(), path)
    for path, methods in OPENAPI["paths"].items()
    for method, operation in methods.items()
}
READING = [name for name, (method, _) in DOCUMENTED.items() if method == "GET"]
