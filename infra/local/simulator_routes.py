"""Which endpoint answers what: those of the gateway below /api, the simulator's own elsewhere."""

import re
from collections.abc import Callable

from infra.local import simulator_accounts as accounts
from infra.local import simulator_admin as admin
from infra.local import simulator_connecting as connecting
from infra.local.simulator_calls import Call, Disturbed
from infra.local.simulator_faults import Reply, error_reply
from infra.local.simulator_files import file_reply


def show_file(_call: Call, name: str) -> Reply:
    return file_reply(name) or error_reply(404, "NOT_FOUND")


_ACCOUNT = "/api/([^/]+)"
_CHAT = _ACCOUNT + "/chats/([^/]+)"
_TABLE: tuple[tuple[str, str, Callable[..., Reply | Disturbed]], ...] = (
    ("POST", _CHAT + "/messages", Call.send_message),
    ("GET", _CHAT + "/messages", Call.list_messages),
    ("GET", _CHAT + "/messages/([^/]+)", Call.get_message),
    ("DELETE", _CHAT + "/messages/([^/]+)", Call.delete_message),
    ("POST", _CHAT + "/mark-as-read", accounts.mark_as_read),
    ("GET", _ACCOUNT + "/chats", accounts.list_chats),
    ("GET", _ACCOUNT + "/me", accounts.show_profile),
    ("GET", _ACCOUNT + "/fans/all", accounts.fans("all")),
    ("GET", _ACCOUNT + "/fans/active", accounts.fans("active")),
    ("GET", _ACCOUNT + "/fans/expired", accounts.fans("expired")),
    ("GET", _ACCOUNT + "/fans/latest", accounts.fans("latest")),
    ("GET", _ACCOUNT + "/users/([^/]+)", accounts.show_user),
    ("GET", _ACCOUNT + "/transactions", accounts.list_transactions),
    ("POST", _ACCOUNT + "/media/vault", accounts.upload_to_vault),
    ("POST", _ACCOUNT + "/media/upload", accounts.upload_for_message),
    ("POST", "/_admin/faults", admin.add_fault),
    ("GET", "/_admin/faults", admin.list_faults),
    ("DELETE", "/_admin/faults", admin.clear_faults),
    ("POST", "/_admin/settings", admin.change_settings),
    ("GET", "/_admin/ledger", admin.show_ledger),
    ("DELETE", "/_admin/ledger", admin.clear_ledger),
    ("GET", "/_admin/webhooks", admin.show_webhooks),
    ("POST", "/_admin/webhooks", admin.change_webhooks),
    ("DELETE", "/_admin/webhooks", admin.clear_webhooks),
    ("POST", "/_admin/inbound", admin.add_inbound),
    ("POST", "/_admin/tips", admin.add_tip),
    ("POST", "/_admin/purchases", admin.add_purchase),
    ("POST", "/_admin/subscriptions", admin.change_subscription),
    ("POST", "/_admin/fans", admin.add_fan),
    ("GET", "/_admin/transactions", admin.list_transactions),
    ("POST", "/_admin/transactions", admin.change_transaction),
    ("POST", "/_admin/deleted", admin.delete_message),
    ("POST", "/_admin/opened", admin.open_messages),
    ("POST", "/_admin/sessions/end", admin.end_session),
    ("POST", "/_admin/sessions/restore", admin.restore_session),
    ("POST", "/_admin/presence", admin.add_presence),
    ("GET", "/_admin/media", admin.list_media),
    ("GET", "/_admin/health", admin.health),
    ("GET", "/connect", connecting.ask),
    ("POST", "/connect", connecting.connect),
    ("GET", "/files/([^/]+)", show_file),
    ("GET", "/", admin.show_page),
)
ROUTES = tuple((method, re.compile(pattern), route) for method, pattern, route in _TABLE)
