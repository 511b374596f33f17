"""Media from an address to the fan, through the guard, the queue, the vault and the send."""

import pytest
from running import eventually
from system import System


def files(system: System, *names: str) -> list[str]:
    """Addresses of files that the simulated platform serves, hostile ones among them."""
    origin = system.environment["ONLYFANS_API_URL"].removesuffix("/api")
    return [f"{origin}/files/{name}" for name in names]


def test_messages_arrive_with_their_media_and_the_vault_holds_each_content_once(
    system: System,
) -> None:
    account = system.account(fans=2)
    urls = files(system, "photo.png", "clip.mp4", "photo.png")

    for fan in account.fans:
        system.send(fan, f"Look, {fan}", mediaUrls=urls, priceCents=500)
    system.all_sent(2, account)

    vault = system.platform("GET", f"media?account={account.account_id}")
    assert sorted((one["type"], one["isVault"]) for one in vault) == [
        ("photo", True),
        ("video", True),
    ]
    by_type = {one["type"]: one["id"] for one in vault}
    photo, video = by_type["photo"], by_type["video"]
    assert [one["media"] for one in system.received(account)] == [[photo, video, photo]] * 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("inside.jpg", "the address leads on to another one"),
        ("page.jpg", "the file is no image, video or audio that we know"),
        ("huge.jpg", "the file is too large"),
        ("nothing.jpg", "its host says that there is no such file, or that we may not read it"),
    ],
)
def test_a_hostile_file_fails_its_message_and_says_why(
    system: System, name: str, reason: str
) -> None:
    account = system.account()

    message = system.send(account.fans[0], "Look", mediaUrls=files(system, name))

    found = system.until(message, "failed")
    assert found["errorCode"] == "media_refused"
    assert found["notice"]["text"] == "Message failed to send"
    assert found["notice"]["reason"].endswith(f"(file 1: {reason})")
    assert system.received(account) == []


def test_a_lost_event_is_found_by_the_sweep(system: System) -> None:
    account = system.account()
    with system.frozen("worker-imports"):
        message = system.send(account.fans[0], "Look", mediaUrls=files(system, "song.mp3"))
        queued = system.sqs()
        url = system.environment["SQS_RATE_LIMITER_QUEUE_URL"].rpartition("/")[0]
        queued.purge_queue(QueueUrl=f"{url}/huntaze-imports")
        queued.close()
        eventually(lambda: system.message(message)["wait"]["reason"] == "media", "it waits")

    assert system.until(message, "sent")["attempts"][0]["outcome"] == "sent"
