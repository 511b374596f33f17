"""The reference API: the same gunicorn with the same workers and threads, and one INSERT.

No login, no schema, no limit, no promise, no event: what Flask, psycopg and PostgreSQL themselves
need for a request that is durable.
"""

import os
import threading
from uuid import uuid4

import psycopg
from flask import Flask, request

PATH = "/send"
TABLE = "bench_bare_messages"
CREATE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  public_id uuid NOT NULL UNIQUE,
  recipient text NOT NULL,
  content text NOT NULL,
  queued_at timestamptz NOT NULL DEFAULT now())
"""
INSERT = f"INSERT INTO {TABLE} (public_id, recipient, content) VALUES (%s, %s, %s)"


def create_app() -> Flask:
    """The WSGI application; each thread keeps a connection."""
    app = Flask(__name__)
    kept = threading.local()

    def database() -> psycopg.Connection:
        if not hasattr(kept, "connection"):
            kept.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        connection: psycopg.Connection = kept.connection
        return connection

    @app.post(PATH)
    def send() -> tuple[dict[str, str], int]:
        body, public_id = request.get_json(), uuid4()
        database().execute(INSERT.encode(), (public_id, body["recipientId"], body["content"]))
        return {"messageId": str(public_id), "status": "queued"}, 202

    return app
