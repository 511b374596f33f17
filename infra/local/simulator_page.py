"""The simulator's one page: what arrived, newest first, and which faults are on."""

from collections.abc import Sequence
from html import escape

from infra.local.simulator_faults import Fault
from infra.local.simulator_ledger import Delivery, iso

SHOWN = 100

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Platform simulator</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #1c2230; background: #f7f8fa }}
h1 {{ font-size: 1.4rem }} h2 {{ font-size: 1.05rem; margin-top: 2rem }}
table {{ width: 100%; border-collapse: collapse; background: #fff }}
th, td {{ text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #e4e7ec;
  vertical-align: top }}
th {{ font-weight: 600; color: #5a6376 }}
td.text {{ white-space: pre-wrap; overflow-wrap: anywhere }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
p {{ color: #5a6376 }}
</style>
</head>
<body>
<h1>Platform simulator</h1>
<p>{summary}</p>
<h2>Faults</h2>
{faults}
<h2>Messages received</h2>
{messages}
</body>
</html>
"""


def page(deliveries: Sequence[Delivery], faults: Sequence[Fault]) -> str:
    """The page; everything from outside is escaped."""
    replays = sum(delivery.replays for delivery in deliveries)
    shown = list(deliveries[-SHOWN:])[::-1]
    return _PAGE.format(
        summary=f"{len(deliveries)} messages accepted, {replays} answers replayed."
        f" The newest {SHOWN} are shown; the page reloads every 2 seconds.",
        faults=_table(
            ("Kind", "Account", "Chat", "On", "Hits", "Of"),
            [
                (f.kind, f.account or "any", f.chat or "any", f.on, f.hits, f.times or "all")
                for f in faults
                if f.hits != f.times
            ],
            "None: the platform answers as it should.",
        ),
        messages=_table(
            ("Received", "Account", "Fan", "Text", "Price", "Files", "Replays"),
            [
                (
                    iso(d.received_at)[11:23],
                    d.account,
                    d.chat,
                    d.text,
                    f"${d.price:.2f}" if d.price else "",
                    len(d.media),
                    d.replays,
                )
                for d in shown
            ],
            "None yet.",
        ),
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> str:
    if not rows:
        return f"<p>{escape(empty)}</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>"
        + "".join(_cell(name, value) for name, value in zip(heads, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(name: str, value: object) -> str:
    kind = "number" if isinstance(value, int) else "text" if name == "Text" else "plain"
    return f'<td class="{kind}">{escape(str(value))}</td>'
