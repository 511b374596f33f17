"""Examples of segments and tier rules."""

SAVE = {"name": "Whales not seen lately", "filter": {"tier": "whale", "tag": ["vip"]}}
SEGMENT = {
    "id": 5,
    "name": "Whales not seen lately",
    "filter": {"tier": "whale", "tag": ["vip"]},
    "count": 12,
    "countCapped": False,
    "createdAt": "2025-11-01T12:00:00.000Z",
    "updatedAt": "2025-11-01T12:00:00.000Z",
}
ONE = {"segment": SEGMENT}
SEGMENTS = {"segments": [SEGMENT]}
RENAME = {"name": "Quiet whales"}
SET_RULES = {"whaleCents": 100000, "spenderCents": 10000, "quietDays": 30, "newDays": 14}
RULES = {
    **SET_RULES,
    "isDefault": False,
    "settled": False,
    "updatedAt": "2025-11-01T12:00:00.000Z",
}
