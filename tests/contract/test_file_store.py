"""What a FileStore promises, of the fake and of S3 (its wire protocol, by the embedded emulator)."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import FaultProxy

from domain.ports import FileMissing, FileStore, FilesUnavailable
from infra.local.services import LocalServices, Service
from infra.s3 import S3FileStore
from infra.settings import Settings
from tests.fakes.files import FakeFileStore

LARGE = bytes(range(256)) * 4096 * 10


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with LocalServices(tmp_path_factory.mktemp("files")) as services:
        services.aws()
        yield services.services["aws"]


def store_at(address: str) -> S3FileStore:
    settings = Settings(
        database_url="postgresql://nowhere",
        redis_endpoint="127.0.0.1:1",
        sqs_rate_limiter_queue_url="http://127.0.0.1:1/0/q",
        jwt_secret="test-secret",
        aws_endpoint_url=address,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    return S3FileStore.from_settings(settings)


@pytest.fixture(params=["fake", "s3"])
def store(request: pytest.FixtureRequest) -> FileStore:
    if request.param == "fake":
        return FakeFileStore()
    service: Service = request.getfixturevalue("s3")
    return store_at(f"http://127.0.0.1:{service.port}")


def put(store: FileStore, key: str, content: bytes) -> None:
    store.put(key, io.BytesIO(content), len(content))


def fetched(store: FileStore, key: str) -> bytes:
    with store.fetch(key) as file:
        return file.read()


def test_a_file_comes_back_as_it_was(store: FileStore) -> None:
    put(store, "imports/1/a.csv", b"a,b\r\n\x00\xff")
    assert fetched(store, "imports/1/a.csv") == b"a,b\r\n\x00\xff"


def test_a_large_file_comes_back_and_can_be_read_again(store: FileStore, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    with path.open("rb") as file:
        store.put("large", file, len(LARGE))

    with store.fetch("large") as found:
        assert found.read(3) == LARGE[:3]
        found.seek(0)
        assert found.read() == LARGE


def test_what_is_not_there_is_missing(store: FileStore) -> None:
    with pytest.raises(FileMissing), store.fetch("never/put"):
        pass


def test_what_is_deleted_is_missing_and_may_be_deleted_again(store: FileStore) -> None:
    put(store, "gone", b"x")
    store.delete("gone")
    store.delete("gone")
    with pytest.raises(FileMissing), store.fetch("gone"):
        pass


def test_a_store_that_is_away_says_so() -> None:
    fake = FakeFileStore()
    fake.away = True
    for away in (fake, store_at("http://127.0.0.1:1")):
        with pytest.raises(FilesUnavailable):
            put(away, "away", b"x")
        with pytest.raises(FilesUnavailable), away.fetch("away"):
            pass
        with pytest.raises(FilesUnavailable):
            away.delete("away")


def test_files_outlive_a_kill_of_the_store(s3: Service) -> None:
    store = store_at(f"http://127.0.0.1:{s3.port}")
    put(store, "kept", LARGE)
    s3.kill()
    s3.start()
    assert fetched(store, "kept") == LARGE


def test_a_connection_that_breaks_is_taken_up_again(s3: Service) -> None:
    with FaultProxy(s3.port) as proxy:
        store = store_at(proxy.url)
        put(store, "broken", LARGE)
        cut = BreaksOnce(proxy)
        store._download("broken", cut)  # only here can the connection be broken
        assert cut.getvalue() == LARGE
        assert cut.broke


class BreaksOnce(io.BytesIO):
    """A file that resets every connection after its first megabyte."""

    def __init__(self, proxy: FaultProxy) -> None:
        super().__init__()
        self._proxy = proxy
        self.broke = False

    def write(self, piece: object) -> int:
        written = super().write(piece)  # type: ignore[arg-type]  # bytes, as the store writes them
        if not self.broke and self.tell() > 1_000_000:
            self.broke = True
            self._proxy.reset()
        return written

    def writelines(self, pieces: object) -> None:
        for piece in pieces:  # type: ignore[attr-defined]  # as above
            self.write(piece)
