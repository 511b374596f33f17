"""What a file is: its first bytes and its content type must say the same."""

from domain.media import MediaFault, MediaRefused

# Enough to tell every format below.
HEAD_BYTES = 64
RIFF = {b"WEBP": "webp", b"WAVE": "wav"}
# The brands of the ISO container; another one (heic, avif) is none of ours.
BRANDS = {b"qt  ": "mov", b"M4A ": "m4a", b"M4B ": "m4a"} | dict.fromkeys(
    (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"dash", b"M4V "),
    "mp4",
)
OGG_AUDIO = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")
# Content type -> what is sent, and the formats that it may stand for.
TYPES: dict[str, tuple[str, frozenset[str]]] = {
    name: (kind, frozenset(formats))
    for kind, names, formats in (
        ("image", ("image/jpeg", "image/jpg", "image/pjpeg"), ("jpg",)),
        ("image", ("image/png",), ("png",)),
        ("image", ("image/gif",), ("gif",)),
        ("image", ("image/webp",), ("webp",)),
        ("video", ("video/mp4", "video/x-m4v"), ("mp4",)),
        ("video", ("video/quicktime",), ("mov", "mp4")),
        ("video", ("video/webm",), ("webm",)),
        ("audio", ("audio/mpeg", "audio/mp3"), ("mp3",)),
        ("audio", ("audio/mp4", "audio/m4a", "audio/x-m4a"), ("m4a", "mp4")),
        ("audio", ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"), ("wav",)),
        ("audio", ("audio/ogg", "application/ogg"), ("ogg",)),
    )
    for name in names
}


def checked_kind(content_type: str, head: bytes) -> tuple[str, str]:
    """image, video or audio, and the ending for its name; raises MediaRefused when the first bytes
    are of no known format, or of another one than the content type says."""
    found = format_of(head)
    if found is None:
        raise MediaRefused(MediaFault.TYPE)
    kind, formats = TYPES.get(content_type.partition(";")[0].strip().lower(), ("", frozenset()))
    if found not in formats:
        raise MediaRefused(MediaFault.DISAGREES)
    return kind, "m4a" if (kind, found) == ("audio", "mp4") else found


def format_of(head: bytes) -> str | None:
    """The format that a file's first bytes show."""
    for magic, name in (
        (b"\xff\xd8\xff", "jpg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"ID3", "mp3"),
    ):
        if head.startswith(magic):
            return name
    if head.startswith(b"RIFF"):
        return RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12])
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm" if b"\x42\x82\x84webm" in head else None
    if head.startswith(b"OggS"):
        return "ogg" if any(mark in head for mark in OGG_AUDIO) else None
    return "mp3" if _is_mpeg_frame(head) else None


def _is_mpeg_frame(head: bytes) -> bool:
    """The header of an MPEG audio layer III frame, with a bit rate and a sampling rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return False
    version = head[1] >> 3 & 3
    rate, sampling = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and rate not in {0, 15} and sampling != 3
