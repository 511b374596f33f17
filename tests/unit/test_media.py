"""Which addresses are media's, and what a file's first bytes say."""

import pytest

from domain.media import MediaFault, MediaHosts, MediaRefused, host_of, remedy_of
from infra.media.kinds import checked_kind, format_of
from infra.settings import SettingsError, load_settings
from tests.unit.test_settings import NEEDED

HOSTS = MediaHosts.parse(["s3.amazonaws.com", "*.cdn.example", "http://127.0.0.1:9000"])


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com/a.png",
        "https://S3.AmazonAWS.com/a.png?X-Amz-Signature=1#x",
        "https://s3.amazonaws.com:443/a.png",
        "https://a.cdn.example/",
        "https://a.b.cdn.example/é.png",
        "http://127.0.0.1:9000/bucket/a.png",
    ],
)
def test_an_allowed_address_is_permitted(url: str) -> None:
    assert HOSTS.permits(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.png",
        "http://s3.amazonaws.com/a.png",
        "https://s3.amazonaws.com:80/a.png",
        "https://s3.amazonaws.com:0/a.png",
        "https://s3.amazonaws.com:99999/a.png",
        "https://s3.amazonaws.com./a.png",
        "https://xs3.amazonaws.com/a.png",
        "https://s3.amazonaws.com.evil.example/a.png",
        "https://evil.example/s3.amazonaws.com",
        "https://evil.example#@s3.amazonaws.com/",
        "https://s3.amazonaws.com@evil.example/",
        "https://u:p@s3.amazonaws.com/a.png",
        "https://@s3.amazonaws.com/a.png",
        "https://evil.example\\@s3.amazonaws.com/",
        "https://s3.amazonaws.com\t/a.png",
        "https://s3.amazon\naws.com/a.png",
        " https://s3.amazonaws.com/a.png",
        "https://s3.amazonaws.com/a\r\nHost: evil",
        "https://s3%2eamazonaws.com/a.png",
        "https://\u04553.amazonaws.com/a.png",
        "https://cdn.example/a.png",
        "https://evilcdn.example/a.png",
        "https://127.0.0.1:9000/a.png",
        "http://127.0.0.1/a.png",
        "http://127.0.0.1:9001/a.png",
        "http://2130706433:9000/a.png",
        "https://[::1]/a.png",
        "https://[bad/a.png",
        "javascript:alert(1)",
        "data:image/png;base64,AA",
        "file:///etc/passwd",
        "https://s3.amazonaws.com/" + "a" * 2048,
    ],
)
def test_every_other_address_is_not(url: str) -> None:
    assert not HOSTS.permits(url)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "*",
        "*.com",
        "localhost",
        "127.0.0.1",
        "0x7f.1",
        "[::1]",
        "s3.*.com",
        "a b.example",
        "https://",
        "ftp://a.example:21",
        "https://a.example/path",
        "https://u@a.example",
        "-a.example",
    ],
)
def test_an_entry_that_is_no_host_refuses_to_start(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is no (host|origin)"):
        MediaHosts.parse([entry])


def test_a_bad_host_in_the_settings_is_named() -> None:
    with pytest.raises(SettingsError, match="MEDIA_ALLOWED_HOSTS: localhost is no host name"):
        load_settings({**NEEDED, "MEDIA_ALLOWED_HOSTS": "s3.amazonaws.com,localhost"})


def test_the_allowed_hosts_read_as_they_were_written() -> None:
    assert str(HOSTS) == "s3.amazonaws.com, *.cdn.example, http://127.0.0.1:9000"


def test_only_the_host_of_an_address_is_shown() -> None:
    assert host_of("https://s3.amazonaws.com/secret?sig=1") == "s3.amazonaws.com"
    assert host_of("https://[") == ""


def test_each_stored_fault_has_its_remedy_and_anything_else_one_too() -> None:
    assert remedy_of(f"file 3: {MediaFault.TOO_LARGE}") == "make the file smaller, then retry"
    assert len({remedy_of(f"file 1: {fault}") for fault in MediaFault}) == len(MediaFault)
    assert remedy_of("the platform: no") == remedy_of(None) == "use another file in a new message"


FILES = [
    ("image/jpeg", b"\xff\xd8\xff\xe0", ("image", "jpg")),
    ("image/png", b"\x89PNG\r\n\x1a\n", ("image", "png")),
    ("image/gif", b"GIF87a", ("image", "gif")),
    ("image/gif", b"GIF89a", ("image", "gif")),
    ("image/webp", b"RIFF\x10\x00\x00\x00WEBPVP8 ", ("image", "webp")),
    ("video/mp4", b"\x00\x00\x00\x20ftypisom", ("video", "mp4")),
    ("Video/MP4; codecs=avc1", b"\x00\x00\x00\x20ftypmp42", ("video", "mp4")),
    ("video/quicktime", b"\x00\x00\x00\x14ftypqt  ", ("video", "mov")),
    ("video/webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", ("video", "webm")),
    ("audio/mpeg", b"ID3\x04", ("audio", "mp3")),
    ("audio/mpeg", b"\xff\xfb\x90\x64", ("audio", "mp3")),
    ("audio/mp4", b"\x00\x00\x00\x20ftypM4A ", ("audio", "m4a")),
    ("audio/mp4", b"\x00\x00\x00\x20ftypisom", ("audio", "m4a")),
    ("audio/wav", b"RIFF\x10\x00\x00\x00WAVEfmt ", ("audio", "wav")),
    ("audio/ogg", b"OggS\x00" + b"\x00" * 23 + b"OpusHead", ("audio", "ogg")),
]


@pytest.mark.parametrize(("content_type", "head", "kind"), FILES)
def test_a_known_file_has_a_kind_and_an_ending(
    content_type: str, head: bytes, kind: tuple[str, str]
) -> None:
    assert checked_kind(content_type, head) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"<html>",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"MZ\x90\x00",
        b"\x7fELF",
        b"RIFF\x10\x00\x00\x00AVI ",
        b"\x00\x00\x00\x20ftypheic",
        b"\x00\x00\x00\x20ftypavif",
        b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska",
        b"OggS\x00" + b"\x00" * 23 + b"\x80theora",
        b"\xff\xff\xff\xff",
        b"\xff\xfe\x00\x00",
    ],
)
def test_anything_else_is_of_no_known_format(head: bytes) -> None:
    assert format_of(head) is None
    with pytest.raises(MediaRefused) as refusal:
        checked_kind("image/png", head)
    assert refusal.value.fault is MediaFault.TYPE


@pytest.mark.parametrize(("content_type", "head", "kind"), FILES)
def test_a_file_that_is_not_what_its_type_says_is_refused(
    content_type: str, head: bytes, kind: tuple[str, str]
) -> None:
    for other in ("text/html", "application/pdf", "", "image/svg+xml"):
        with pytest.raises(MediaRefused) as refusal:
            checked_kind(other, head)
        assert refusal.value.fault is MediaFault.DISAGREES
