"""Small files the simulated platform serves at /files: good ones of each kind, made in code, and
hostile ones, for whoever fetches media."""

import struct
import zlib

from infra.local.simulator_faults import Reply


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\x00\xd0\x40\x60")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    )


def _jpeg() -> bytes:
    """Eight grey pixels square: one code for "no difference", one for "end of block"."""

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    one_code = bytes([1] + [0] * 15 + [0])
    return (
        b"\xff\xd8"
        + segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
        + segment(0xDB, b"\x00" + b"\x01" * 64)
        + segment(0xC0, struct.pack(">BHHBBBB", 8, 8, 8, 1, 1, 0x11, 0))
        + segment(0xC4, b"\x00" + one_code)
        + segment(0xC4, b"\x10" + one_code)
        + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
        + b"\x3f\xff\xd9"
    )


def _mp4() -> bytes:
    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data) + 8) + kind + data

    movie = struct.pack(">IIIII", 0, 0, 0, 1000, 1000) + b"\x00\x01\x00\x00" + b"\x00" * 76
    return (
        box(b"ftyp", b"isom\x00\x00\x02\x00isomiso2mp41")
        + box(b"moov", box(b"mvhd", movie))
        + box(b"mdat", b"\x00" * 16)
    )


def _mp3() -> bytes:
    """Four silent frames of 128 kbit/s, 44.1 kHz."""
    return (b"\xff\xfb\x90\x00" + b"\x00" * 413) * 4


_FILES: dict[str, Reply] = {
    "photo.jpg": Reply(200, _jpeg(), content_type="image/jpeg"),
    "photo.png": Reply(200, _png(), content_type="image/png"),
    "clip.mp4": Reply(200, _mp4(), content_type="video/mp4"),
    "song.mp3": Reply(200, _mp3(), content_type="audio/mpeg"),
    # Says it is a picture, and is a page.
    "page.jpg": Reply(200, b"<!doctype html><script>alert(1)</script>", content_type="image/jpeg"),
    "page.html": Reply(200, b"<!doctype html><p>Hello", content_type="text/html"),
    "empty.jpg": Reply(200, b"", content_type="image/jpeg"),
    # Promises ten gigabytes, then hangs up.
    "huge.jpg": Reply(
        200, _jpeg(), {"Content-Length": str(10 * 2**30), "Connection": "close"}, "image/jpeg"
    ),
    # Longer than any limit, and really sent.
    "long.jpg": Reply(200, _jpeg() + b"\x00" * 2**21, content_type="image/jpeg"),
    "inside.jpg": Reply(302, b"", {"Location": "http://169.254.169.254/latest/meta-data/"}),
    "redirect.jpg": Reply(302, b"", {"Location": "/files/photo.jpg"}),
    "circle.jpg": Reply(302, b"", {"Location": "/files/circle.jpg"}),
}


def file_reply(name: str) -> Reply | None:
    """The file with this name."""
    return _FILES.get(name)
