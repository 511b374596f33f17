"""`python -m cli.alive`: does the process of this container answer? For health checks, so it loads
nothing: one of the product's commands would cost a small task more than its work."""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection

PATIENCE_SECONDS = 5


def address(environment: Mapping[str, str]) -> tuple[int, str]:
    """Port and path: METRICS_PORT where one is set, otherwise the web process is meant."""
    metrics = int(environment.get("METRICS_PORT") or 0)
    return (metrics, "/metrics") if metrics else (int(environment.get("PORT") or 8000), "/health")


def main() -> int:
    """0 = it answers, 1 = not."""
    port, path = address(os.environ)
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except OSError as problem:
        print(f"port {port} does not answer: {problem}")
        return 1
    finally:
        connection.close()
    print(f"port {port} answers {status}")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
