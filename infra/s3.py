"""Uploaded files in S3. Nothing here holds more of a file than a piece of it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_s3.client import S3Client

from domain.ports import FileMissing, FilesUnavailable
from infra.aws import aws_session
from infra.settings import Settings

CONNECT_SECONDS, READ_SECONDS = 2, 10
TRIES = 3
PIECE = 1 << 16
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class S3FileStore:
    """FileStore on one bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @classmethod
    def from_settings(cls, settings: Settings) -> "S3FileStore":
        """Nothing is contacted yet."""
        client = aws_session(settings).client(
            "s3",
            endpoint_url=settings.aws_endpoint_url,
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": TRIES, "mode": "standard"},
                # The file's own hash is on its row: no second one in the body, which not every
                # store understands.
                request_checksum_calculation="when_required",
                # An emulator has no name for each bucket.
                s3={"addressing_style": "path" if settings.aws_endpoint_url else "auto"},
            ),
        )
        return cls(client, settings.s3_bucket)

    def put(self, key: str, file: BinaryIO, size: int) -> None:
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=file,
                ContentLength=size,
                ContentType="application/octet-stream",
            )
        except Exception as problem:  # botocore raises more than it documents
            raise _away(problem) from problem

    @contextmanager
    def fetch(self, key: str) -> Iterator[BinaryIO]:
        with tempfile.TemporaryFile() as file:
            self._download(key, file)
            file.seek(0)
            yield file

    def _download(self, key: str, file: BinaryIO) -> None:
        """The whole object; a connection that breaks is taken up where it broke."""
        tries = TRIES
        while True:
            try:
                self._download_from(file.tell(), key, file)
            except FileMissing:
                raise
            except Exception as problem:  # botocore raises more than it documents
                tries -= 1
                if not tries:
                    raise _away(problem) from problem
            else:
                return

    def _download_from(self, start: int, key: str, file: BinaryIO) -> None:
        more: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **more)
        except ClientError as refused:
            code = _code(refused)
            if code in MISSING:
                raise FileMissing("the file is not in the store") from refused
            if code == "InvalidRange":
                return  # All of it had come before the connection broke.
            raise
        file.writelines(answer["Body"].iter_chunks(PIECE))

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(Bucket=self._bucket, Key=key)
        except Exception as problem:  # botocore raises more than it documents
            raise _away(problem) from problem


def _code(refused: ClientError) -> str:
    return str(refused.response.get("Error", {}).get("Code"))


def _away(problem: Exception) -> FilesUnavailable:
    """The text is a short name such as `AccessDenied`, never an address."""
    name = _code(problem) if isinstance(problem, ClientError) else type(problem).__name__
    return FilesUnavailable(f"the file store does not answer ({name}); nothing was changed")
