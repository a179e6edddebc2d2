"""What a first chunk is, told from its bytes."""

import gzip

import pytest

from edgecap.files.sniff import Kind, sniff


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", Kind.EMPTY),
        (b"\xd4\xc3\xb2\xa1\x02\x00", Kind.PCAP),
        (b"\xa1\xb2\xc3\xd4\x00\x02", Kind.PCAP),
        (b"\x4d\x3c\xb2\xa1", Kind.PCAP),
        (b"\xa1\xb2\x3c\x4d", Kind.PCAP),
        (b"\xd4\xc3\xb2", Kind.UNKNOWN),
        (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", Kind.PCAPNG),
        (gzip.compress(b"", mtime=0), Kind.GZIP),
        (b"\x28\xb5\x2f\xfd\x00", Kind.ZSTD),
        (b"\n <!DOCTYPE html>", Kind.HTML),
        (b"<HTML lang=en>", Kind.HTML),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Error><Code>NoSuchKey', Kind.XML),
        (b"<Error><Code>AccessDenied</Code>", Kind.XML),
        (b'{"success": false}', Kind.JSON),
        (b'[\n  {"code": 10000}]', Kind.JSON),
        (b"{}", Kind.JSON),
        (b"{not json", Kind.UNKNOWN),
        (b"ownership-challenge", Kind.UNKNOWN),
    ],
)
def test_first_bytes_tell(head, kind):
    assert sniff(head) is kind
