"""The simulated gateway's own page, on which a person connects an account and is led back with it:
{state, account_id}, or {state, error} for who thought better of it."""

from html import escape
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from infra.local.simulator_calls import Call
from infra.local.simulator_faults import Reply, error_reply

_LOCAL = ("127.0.0.1", "localhost")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Connect an account - platform simulator</title>
<style>
:root {{ color-scheme: light }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 26rem; padding: 0 1rem;
  color: #1c2230; background: #f7f8fa }}
h1 {{ font-size: 1.3rem }}
input {{ box-sizing: border-box; width: 100%; padding: .5rem; font: inherit }}
button {{ padding: .5rem 1rem; margin: 1rem .5rem 0 0; font: inherit }}
</style>
</head>
<body>
<main>
<h1>Connect an account</h1>
<p>This plays the gateway's own page. Every account exists here; one whose session had ended is
logged in again.</p>
<form method="post" action="/connect">
<input type="hidden" name="return_to" value="{return_to}">
<input type="hidden" name="state" value="{state}">
<label for="account">Account</label>
<input id="account" name="account_id" value="acct_stella" required pattern="acct_[A-Za-z0-9_\\-]+">
<button name="deed" value="connect">Log in and connect</button>
<button name="deed" value="cancel" formnovalidate>Cancel</button>
</form>
</main>
</body>
</html>
"""


def ask(call: Call) -> Reply:
    return_to, state = call.query.get("return_to", ""), call.query.get("state", "")
    if not _is_local(return_to):
        return _refused()
    html = _PAGE.format(return_to=escape(return_to), state=escape(state))
    return Reply(200, html.encode(errors="replace"), content_type="text/html; charset=utf-8")


def connect(call: Call) -> Reply:
    typed = {name: values[-1] for name, values in parse_qs(call.body.decode()).items()}
    return_to, account = typed.get("return_to", ""), typed.get("account_id", "")
    if not _is_local(return_to):
        return _refused()
    told = {"state": typed.get("state", "")}
    if typed.get("deed") == "connect":
        call.state.world.restore_session(account)
        told["account_id"] = account
    else:
        told["error"] = "access_denied"
    target = urlsplit(return_to)
    query = urlencode([*parse_qsl(target.query), *told.items()])
    return Reply(303, b"", {"Location": target._replace(query=query).geturl()})


def _is_local(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "http" and parts.hostname in _LOCAL


def _refused() -> Reply:
    return error_reply(422, "VALIDATION_ERROR", "return_to: an address of this machine")
