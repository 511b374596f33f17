"""The SQS client, and the one way to call it: whatever goes wrong becomes SqsFailed."""

from collections.abc import Callable
from typing import Any, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_sqs.client import SQSClient

from infra.aws import aws_session
from infra.settings import Settings

T = TypeVar("T")


class SqsFailed(Exception):
    """A call did not get a usable answer. The text is a short name such as `AccessDenied (403)`."""


def make_client(
    settings: Settings, *, connect_timeout: float, read_timeout: float, connections: int
) -> SQSClient:
    """A client that tries once; timeouts in seconds. Nothing is contacted yet.

    An endpoint in the settings wins over the host of a queue's URL."""
    return aws_session(settings).client(
        "sqs",
        endpoint_url=settings.aws_endpoint_url,
        config=Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=connections,
            tcp_keepalive=True,
        ),
    )


def attempt(operation: Callable[..., T], **parameters: Any) -> T:
    """Call an operation of the client; raises SqsFailed."""
    try:
        return operation(**parameters)
    except ClientError as refused:
        status = refused.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = refused.response.get("Error", {}).get("Code")
        raise SqsFailed(f"{code} ({status})") from refused
    except Exception as problem:  # botocore raises more than it documents, parser errors included
        raise SqsFailed(type(problem).__name__) from problem
