"""Gunicorn's settings. It reads this file before the application, and so before Prometheus' client
looks for PROMETHEUS_MULTIPROC_DIR: both processes then count into one place."""

import os
import shutil
import tempfile
from importlib import import_module
from typing import Any

from infra import tracing
from infra.settings import load_settings_or_exit

_settings = load_settings_or_exit()

bind = f"{_settings.bind_host}:{_settings.port}"
worker_class = "gthread"
workers = 2
threads = 8
# Imported once and then forked: half the start, and most of the memory shared. Nothing is connected
# before a request comes.
preload_app = True
graceful_timeout = 30
keepalive = 5
# A second process of the same user would fight over its place in the home directory.
control_socket_disable = True
# Our own line about each request says more, and never an address with what a user typed.
accesslog = None
errorlog = "-"

_counters = tempfile.mkdtemp(prefix="huntaze-web-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _counters
# Imported only now: the client looks at the environment once, while it is imported.
_multiprocess = import_module("prometheus_client.multiprocess")


def post_fork(_server: Any, _worker: Any) -> None:
    """Each worker exports its own traces."""
    tracing.start(_settings, "web")


def worker_exit(_server: Any, _worker: Any) -> None:
    """And the last of them before it ends."""
    tracing.stop()


def child_exit(_server: Any, worker: Any) -> None:
    """A worker's gauges end with it; its counters stay in the sums."""
    _multiprocess.mark_process_dead(worker.pid)


def on_exit(_server: Any) -> None:
    """Leave no files behind."""
    shutil.rmtree(_counters, ignore_errors=True)
