"""The default limit of requests, counted over all web processes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from system import FAST, System

LIMIT_UNSET = {name: value for name, value in FAST.items() if name != "API_RATE_LIMIT_PER_MINUTE"}
STATUS = "/api/onlyfans/messages/status"


def test_of_many_at_once_sixty_pass_in_a_minute_and_other_users_are_not_affected(
    tmp_path: Path,
) -> None:
    with System(tmp_path / "limited", LIMIT_UNSET) as system:
        system.sql(
            "INSERT INTO users (owner_id, email, password_hash, role)"
            " VALUES (1, 'carl@example.com', '-', 'chatter')"
        )
        busy = system.login()
        other = system.command("token", "carl@example.com").stdout.strip()

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: system.api("GET", STATUS, token=busy), range(80)))

        assert Counter(one.status_code for one in answers) == {200: 60, 429: 20}
        passed = [one for one in answers if one.status_code == 200]
        # Nobody was told the same number twice: both processes count in one place.
        assert sorted(int(one.headers["X-RateLimit-Remaining"]) for one in passed) == list(
            range(60)
        )
        refused = next(one for one in answers if one.status_code == 429)
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.json()["reason"] == "user_requests_per_minute"
        assert system.api("GET", STATUS, token=other).status_code == 200

        with system.frozen("redis"):
            assert system.api("GET", STATUS, token=busy).status_code == 200
