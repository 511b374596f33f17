"""Examples of a team."""

ADD = {
    "email": "carl@example.com",
    "role": "chatter",
    "password": "correct horse battery",
    "timeZone": "Europe/Paris",
}
CHANGE = {"role": "manager"}
CARL = {
    "id": 3,
    "email": "carl@example.com",
    "role": "chatter",
    "timeZone": "Europe/Paris",
    "createdAt": "2025-11-01T12:00:00.000Z",
}
ANN = {
    "id": 1,
    "email": "ann@example.com",
    "role": "owner",
    "timeZone": "UTC",
    "createdAt": "2025-01-01T00:00:00.000Z",
}
MEMBER = {"member": CARL}
TEAM = {"members": [ANN, CARL], "total": 2}
