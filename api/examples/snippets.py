"""Examples of snippets."""

SNIPPET_REQUEST = {
    "title": "Good morning",
    "shortcut": "gm",
    "text": "Good morning {name|love}! This one is for you.",
    "category": "Greetings",
}
SNIPPET_CHANGE = {"text": "Good morning {name|love}!", "category": None}
ONE = {
    "id": 3,
    **SNIPPET_REQUEST,
    "useCount": 41,
    "lastUsedAt": "2025-11-01T12:00:00.000Z",
    "earningsCents": 12_400,
    "createdAt": "2025-10-01T12:00:00.000Z",
    "updatedAt": "2025-10-01T12:00:00.000Z",
}
SNIPPET = {"snippet": ONE}
SNIPPETS = {"snippets": [ONE], "total": 1, "totalCapped": False, "nextCursor": None}
RENDERED = {
    "snippetId": 3,
    "fanId": 123,
    "text": "Good morning John! This one is for you.",
}
