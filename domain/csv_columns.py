"""Which column of a file is what: by what the user says, by what was said before, or by name."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence

from domain.imports import Column, UnreadableFile

HEADERS_SHOWN, HEADER_SHOWN = 10, 40
# Other names of the columns, English and French; compared by `normal`.
SYNONYMS: Mapping[Column, Sequence[str]] = {
    Column.USERNAME: (
        *("user", "user name", "login", "handle", "account", "nickname", "screen name"),
        *("fan username", "fan", "pseudo", "pseudonyme", "identifiant", "compte"),
        *("nom d'utilisateur", "utilisateur", "nom utilisateur"),
    ),
    Column.DISPLAY_NAME: (
        *("name", "full name", "fan name", "real name", "customer name"),
        *("nom", "nom complet", "nom affiché", "nom d'affichage", "prénom et nom"),
    ),
    Column.EMAIL: (
        *("e-mail", "mail", "email address", "e-mail address", "contact email"),
        *("courriel", "adresse e-mail", "adresse mail", "adresse électronique", "adresse courriel"),
    ),
    Column.SUBSCRIPTION_TIER: (
        *("tier", "plan", "subscription", "subscription plan", "subscription type", "level"),
        *("abonnement", "type d'abonnement", "formule", "niveau", "niveau d'abonnement"),
    ),
    Column.TOTAL_SPENT: (
        *("spent", "total spend", "spend", "amount spent", "lifetime spend", "lifetime spent"),
        *("LTV", "lifetime value", "total revenue", "revenue", "total", "total spent usd"),
        *("total dépensé", "montant dépensé", "dépensé", "dépenses", "total des dépenses"),
    ),
    Column.LAST_SEEN: (
        *("last active", "last online", "last seen at", "last activity", "last login"),
        *("last visit", "last seen date", "dernière visite", "dernière connexion"),
        *("dernière activité", "vu le", "dernière fois en ligne", "vu pour la dernière fois"),
    ),
    Column.TAGS: (*("tag", "labels", "label", "lists"), *("étiquettes", "étiquette", "libellés")),
}


def normal(header: str) -> str:
    """A header without case, accents, blanks and signs: two that mean the same are the same."""
    letters = unicodedata.normalize("NFKD", header.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


NAMES: Mapping[str, Column] = {
    **{normal(name): column for column, names in SYNONYMS.items() for name in names},
    **{normal(column): column for column in Column},
}


def recognised(header: Sequence[str], given: Mapping[Column, str | None]) -> int:
    """How many columns a header has that were given or that we know by name."""
    wanted = {normal(name) for name in given.values() if name}
    return sum(name in wanted or name in NAMES for name in set(map(normal, header)))


def place_columns(
    header: Sequence[str], given: Mapping[Column, str | None]
) -> Mapping[Column, int]:
    """The place of each column: where `given` says, and by its name where `given` is silent.
    Raises UnreadableFile."""
    places = {
        column: _find(header, name, column) for column, name in given.items() if name is not None
    }
    free = [place for place in range(len(header)) if place not in places.values()]
    candidates: dict[Column, list[int]] = defaultdict(list)
    for place in free:
        column = NAMES.get(normal(header[place]))
        if column is not None and column not in given:
            candidates[column].append(place)
    for column, found in candidates.items():
        # Its own name outdoes other names of it: `Username` and `Fan` may stand side by side.
        own = [place for place in found if normal(header[place]) == normal(column)] or found
        if len(own) > 1:
            raise _duplicate(column, [header[place] for place in own])
        places[column] = own[0]
    if Column.USERNAME not in places:
        raise UnreadableFile(
            "missing_column",
            f"No column is {Column.USERNAME}. The first line must be the header, which names the "
            f"columns; this one has: {_shown(header)}. Name one {Column.USERNAME}, or give the "
            "header that it has in the mapping",
        )
    return {column: places[column] for column in Column if column in places}


def likely_columns(header: Sequence[str]) -> Mapping[Column, int]:
    """The first place that each column could be at: where somebody begins who names them."""
    found: dict[Column, int] = {}
    for place, name in enumerate(header):
        column = NAMES.get(normal(name))
        if column is not None:
            found.setdefault(column, place)
    return found


def _find(header: Sequence[str], name: str, column: Column) -> int:
    alike = [place for place, other in enumerate(header) if other == name.strip()] or [
        place for place, other in enumerate(header) if normal(other) == normal(name)
    ]
    if not alike:
        raise UnreadableFile(
            "unknown_header",
            f"The mapping takes {column} from {_shown([name])}, but the header has: "
            f"{_shown(header)}. Use one of these",
        )
    if len(alike) > 1:
        raise _duplicate(column, [header[place] for place in alike])
    return alike[0]


def _duplicate(column: Column, headers: Sequence[str]) -> UnreadableFile:
    return UnreadableFile(
        "duplicate_column",
        f"More than one column could be {column}: {_shown(headers)}. Say which one in the "
        "mapping, or rename the others",
    )


def _shown(headers: Sequence[str]) -> str:
    shown = ", ".join(name[:HEADER_SHOWN] or '""' for name in headers[:HEADERS_SHOWN])
    return shown + (", ..." if len(headers) > HEADERS_SHOWN else "")
