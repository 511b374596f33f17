"""Examples of imports."""

from typing import Any

_SUMMARY = {
    "totalRows": 100,
    "successfulInserts": 95,
    "updated": 0,
    "skipped": 3,
    "errors": 2,
}
_BRIEF: dict[str, Any] = {
    "importId": 12,
    "status": "completed",
    "statusUrl": "/api/onlyfans/import/csv/12",
    "dryRun": False,
    "fileName": "fans.csv",
    "fileBytes": 7120,
    "policy": "fillBlanks",
    "tags": ["autumn"],
    "summary": _SUMMARY,
    "revived": 0,
    "duplicates": 3,
    "progress": {"percent": 100, "bytesRead": 7120, "rows": 100},
    "failure": None,
    "waitsBecause": None,
    "undo": {
        "until": "2025-12-01T12:00:02.100Z",
        "requestedAt": None,
        "undoneAt": None,
        "reversed": 0,
        "kept": 0,
        "errored": 0,
    },
    "actorId": 1,
    "createdAt": "2025-11-01T12:00:01.500Z",
    "startedAt": "2025-11-01T12:00:01.540Z",
    "finishedAt": "2025-11-01T12:00:02.100Z",
}
_PROBLEM = {
    "error": "Invalid email format",
    "code": "email_invalid",
    "field": "Email",
    "value": "john@",
}
_ERROR = {"row": 42, **_PROBLEM, "problems": [_PROBLEM]}
IMPORT = {
    **_BRIEF,
    "errors": [_ERROR],
    "errorsCapped": False,
    "errorsUrl": "/api/onlyfans/import/csv/12/errors",
    "errorsFileUrl": "/api/onlyfans/import/csv/12/errors.csv",
    "format": {
        "encoding": "utf-8",
        "delimiter": "comma",
        "header": ["Username", "Display Name", "Email", "Shoe Size"],
        "columns": {"Username": "Username", "Display Name": "Display Name", "Email": "Email"},
        "missing": ["Subscription Tier", "Total Spent", "Last Seen", "Tags"],
        "ignored": ["Shoe Size"],
        "source": "guessed",
        "sample": [["johndoe", "John Doe", "john@example.com", "43"]],
    },
    "sameFileAs": None,
}
UPLOAD = {
    "file": "Username,Display Name,Email,Subscription Tier,Total Spent,Last Seen\n"
    "johndoe,John Doe,john@example.com,Premium,$500.00,2025-11-01\n",
    "policy": "fillBlanks",
    "tags": "autumn",
}
WAITING = {
    "importId": 12,
    "status": "running",
    "statusUrl": "/api/onlyfans/import/csv/12",
}
UNDOING = {**WAITING, "status": "undoing"}
CONFIRM = {"policy": "overwrite", "mapping": {"Username": "Login", "Email": None}}
HISTORY = {"imports": [_BRIEF], "total": 1, "totalCapped": False, "nextCursor": None}
ERRORS = {
    "errors": [_ERROR],
    "codes": {"email_invalid": 2},
    "total": 2,
    "totalCapped": False,
    "nextCursor": "WyJpbXBvcnQuZXJyb3JzIiw0Ml0",
}
PREVIEW = {
    "lines": [
        {
            "row": 2,
            "action": "update",
            "handle": "@johndoe",
            "fanId": 123,
            "changes": {"email": "john@example.com"},
        }
    ],
    "total": 1,
    "totalCapped": False,
    "nextCursor": None,
}
KEPT = {
    "fans": [
        {
            "fanId": 123,
            "name": "John Doe",
            "handle": "@johndoe",
            "outcome": "kept",
            "reason": "it was changed after the import",
        }
    ],
    "total": 1,
    "totalCapped": False,
    "nextCursor": None,
}
MAPPINGS = {
    "mappings": [
        {
            "id": 3,
            "header": ["Login", "Mail"],
            "mapping": {"Username": "Login", "Email": "Mail"},
            "updatedAt": "2025-11-01T12:00:01.500Z",
        }
    ]
}
