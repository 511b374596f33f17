"""Settings: strict, named when wrong, and the same list as .env.example."""

from pathlib import Path

import pytest

from infra.settings import QUEUES, Settings, SettingsError, load_settings

NEEDED = {
    "DATABASE_URL": "postgresql://user:hidden@db.example/huntaze",
    "REDIS_ENDPOINT": "redis.example:6379",
    "SQS_RATE_LIMITER_QUEUE_URL": "https://sqs.example/1/huntaze-rate-limiter-queue",
    "JWT_SECRET": "new, old",
}


def test_the_example_file_names_every_setting_with_its_default() -> None:
    lines = Path(".env.example").read_text().splitlines()
    shown = {}
    for line in lines:
        name, equals, value = line.removeprefix("# ").partition("=")
        if equals and name.isupper() and " " not in name:
            shown[name] = value

    assert list(shown) == [name.upper() for name in Settings.model_fields]
    settings = load_settings(NEEDED)
    optional = [
        line for line in lines if line.startswith("# ") and line[2:].split("=")[0].isupper()
    ]
    for line in optional:
        name, _, value = line.removeprefix("# ").partition("=")
        if value and not value.startswith("<"):
            default = load_settings({**NEEDED, name: value})
            assert getattr(default, name.lower()) == getattr(settings, name.lower()), name


@pytest.mark.parametrize("value", ["true", "TRUE", "1", "on", "yes"])
def test_switches_take_the_usual_words_for_on(value: str) -> None:
    assert load_settings({**NEEDED, "RATE_LIMITER_ENABLED": value}).rate_limiter_enabled


@pytest.mark.parametrize("value", ["false", "False", "0", "off", "no"])
def test_switches_take_the_usual_words_for_off(value: str) -> None:
    assert not load_settings({**NEEDED, "RATE_LIMITER_ENABLED": value}).rate_limiter_enabled


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMITER_ENABLED", "yse"),
        ("REDIS_ENDPOINT", "redis.example"),
        ("LOG_LEVEL", "loud"),
        ("RATE_LIMIT_PER_MINUTE", "0"),
        ("API_RATE_LIMIT_PER_MINUTE", "0"),
        ("API_RATE_LIMIT_PER_MINUTE", "1000001"),
        ("TRUSTED_PROXIES", "6"),
        ("PORT", "eighty"),
    ],
)
def test_a_bad_value_is_refused_and_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load_settings({**NEEDED, name: value})


def test_every_missing_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings({})

    assert str(refusal.value).splitlines() == [f"{name}: is required" for name in NEEDED]


def test_times_that_do_not_fit_into_each_other_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"PLATFORM_TIMEOUT_SECONDS.*DELIVERY_DEADLINE_SECONDS"):
        load_settings({**NEEDED, "PLATFORM_TIMEOUT_SECONDS": "29.5"})


def test_an_empty_value_is_none() -> None:
    assert load_settings({**NEEDED, "REDIS_AUTH_TOKEN": ""}).redis_auth_token is None


def test_secrets_and_passwords_are_not_shown() -> None:
    shown = load_settings({**NEEDED, "ONLYFANS_API_KEY": "hidden"}).redacted()

    assert "hidden" not in str(shown)
    assert shown["DATABASE_URL"] == "postgresql://***@db.example/huntaze"
    assert shown["JWT_SECRET"] == "set, set"


def test_every_queue_has_a_url_beside_the_messages_queue() -> None:
    settings = load_settings(NEEDED)

    assert {queue: settings.queue_url(queue) for queue in QUEUES} == {
        "messages": "https://sqs.example/1/huntaze-rate-limiter-queue",
        "campaigns": "https://sqs.example/1/huntaze-campaigns",
        "imports": "https://sqs.example/1/huntaze-imports",
        "inbound": "https://sqs.example/1/huntaze-inbound",
        "metrics": "https://sqs.example/1/huntaze-metrics",
    }


def test_the_owners_environment_block_is_taken_as_it_is() -> None:
    settings = load_settings(
        {
            **NEEDED,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "your-access-key",
            "AWS_SECRET_ACCESS_KEY": "your-secret-key",
            "AWS_SESSION_TOKEN": "your-session-token",
            "REDIS_ENDPOINT": "huntaze-redis-production.example:6379",
            "REDIS_AUTH_TOKEN": "your-redis-token",
            "RATE_LIMITER_ENABLED": "true",
            "ONLYFANS_CRM_ENABLED": "true",
            "CLOUDWATCH_NAMESPACE": "Huntaze/OnlyFans",
            "LOG_LEVEL": "info",
        }
    )

    assert (settings.log_level, settings.rate_limiter_enabled) == ("INFO", True)
