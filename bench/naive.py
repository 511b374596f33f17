"""What one writes first: stock Celery on SQS, a token bucket in Redis, and `retry(countdown=...)`
until there is a token, or Celery's own `rate_limit`. Also a stock task that only posts, as a second
reference.

The bucket is the usual one: capacity and refill both the messages of a minute, clocked by Redis.
"""

import sys
from dataclasses import dataclass
from typing import Any

import httpx2
from celery import Celery
from celery.signals import worker_ready
from kombu import Queue
from redis import Redis

from infra.settings import Settings, load_settings_or_exit

ACCOUNT = "naive"
# Tokens that a bucket holds, and how many of its refills a retry waits.
CAPACITY = 10
# What a worker says once it consumes.
READY = "the naive worker is ready"

TAKE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1e6
local capacity, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local at = tonumber(kept[2]) or now
local tokens = math.min(capacity, (tonumber(kept[1]) or capacity) + (now - at) / interval)
local taken = tokens >= 1
redis.call('HSET', KEYS[1], 'tokens', taken and tokens - 1 or tokens, 'at', now)
return taken and 1 or 0
"""


def make_app(settings: Settings) -> Celery:
    """Stock transport and stock settings but for the queue, which exists already."""
    url = settings.sqs_rate_limiter_queue_url
    name = url.rsplit("/", 1)[-1]
    secret = settings.aws_secret_access_key
    assert secret is not None
    address = (settings.aws_endpoint_url or "").removeprefix("http://")
    app = Celery("naive")
    app.conf.update(
        broker_url=f"sqs://{settings.aws_access_key_id}:{secret.get_secret_value()}@{address}",
        broker_transport_options={
            "region": settings.aws_region,
            "wait_time_seconds": 10,
            "predefined_queues": {name: {"url": url}},
        },
        task_queues=[Queue(name, routing_key=name)],
        task_default_queue=name,
        task_default_routing_key=name,
        task_create_missing_queues=False,
        task_ignore_result=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
    )
    return app


@dataclass(frozen=True)
class Tasks:
    """`post` takes a text; `send` and `limited` take an account and a text."""

    post: Any
    send: Any
    limited: Any


def add_tasks(app: Celery, settings: Settings) -> Tasks:
    """All of them, in one application."""
    host, _, port = settings.redis_endpoint.rpartition(":")
    bucket = Redis(host, int(port)).register_script(TAKE)
    key = settings.onlyfans_api_key.get_secret_value()
    web = httpx2.Client(trust_env=False, headers={"Authorization": f"Bearer {key}"})
    interval = 60 / settings.rate_limit_per_minute

    def call(account: str, text: str) -> None:
        url = f"{settings.onlyfans_api_url}/{account}/chats/1/messages"
        web.post(url, json={"text": text}).raise_for_status()

    @app.task(name="post")
    def post(text: str) -> None:
        call(ACCOUNT, text)

    @app.task(bind=True, name="send", max_retries=None)
    def send(self: Any, account: str, text: str) -> None:
        if not bucket([f"naive:{account}"], [CAPACITY, interval]):
            raise self.retry(countdown=interval)
        call(account, text)

    @app.task(name="limited", rate_limit=f"{settings.rate_limit_per_minute:g}/m")
    def limited(account: str, text: str) -> None:
        call(account, text)

    return Tasks(post, send, limited)


@worker_ready.connect
def tell(**_: Any) -> None:
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    settings = load_settings_or_exit()
    app = make_app(settings)
    add_tasks(app, settings)
    app.worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={settings.worker_threads}",
            "--loglevel=WARNING",
            "--without-mingle",
            "--without-gossip",
            "--without-heartbeat",
        ]
    )
    sys.exit(0)
