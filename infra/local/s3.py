"""Keeps the emulator's S3 objects on disk, so that an upload outlives a restart.

One file per object, named by the hash of its key: a line of JSON, then the bytes.
"""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from threading import Lock

from moto.s3.models import FakeKey, S3Backend


class ObjectsOnDisk:
    """The disk follows the memory: after each request that may have changed an object."""

    def __init__(self, backend: S3Backend, directory: Path) -> None:
        self._backend, self._directory, self._lock = backend, directory, Lock()
        self._written: dict[Path, FakeKey] = {}

    def load(self, region: str) -> None:
        """Put every object on disk back into its bucket."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in sorted(self._directory.glob("*/*.object")):
            bucket = file.parent.name
            if bucket not in self._backend.buckets:
                self._backend.create_bucket(bucket, region)
            head, _, value = file.read_bytes().partition(b"\n")
            told = json.loads(head)
            stored = self._backend.put_object(bucket, told["key"], value, disable_notification=True)
            stored.set_metadata(told["metadata"])
            stored.last_modified = datetime.fromisoformat(told["last_modified"])
            self._written[file] = stored

    def save(self) -> None:
        """Write what is new and remove what is gone, each file whole or not at all."""
        with self._lock:
            wanted = self._objects()
            for file, stored in wanted.items():
                if self._written.get(file) is not stored:
                    self._write(file, stored)
            for file in self._written.keys() - wanted.keys():
                file.unlink(missing_ok=True)
            self._written = wanted

    def _objects(self) -> dict[Path, FakeKey]:
        found = {}
        for name, bucket in list(self._backend.buckets.items()):
            for key, stored in list(bucket.keys.items()):
                if isinstance(stored, FakeKey):  # not the mark of a deleted version
                    hashed = hashlib.sha256(key.encode()).hexdigest()
                    found[self._directory / name / f"{hashed}.object"] = stored
        return found

    def _write(self, file: Path, stored: FakeKey) -> None:
        head = {
            "key": stored.name,
            "metadata": dict(stored.metadata),
            "last_modified": stored.last_modified.isoformat(),
        }
        file.parent.mkdir(mode=0o700, exist_ok=True)
        half = file.with_suffix(".half")
        half.write_bytes(json.dumps(head).encode() + b"\n" + stored.value)
        half.replace(file)
