"""Logging in, with a limit to guessing: so many failures of one email, so many of one address."""

from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network

from domain.errors import FieldProblem, Invalid
from domain.services.limits import LimitService
from domain.services.users import Login, UserService
from domain.users import Caller, User


class LoginService:
    """The use case of logging in from outside."""

    def __init__(self, users: UserService, limits: LimitService) -> None:
        self._users = users
        self._limits = limits

    def login(self, email: str, password: str, address: str, now: datetime) -> Login | None:
        """A token for the account with this email and password; None when there is none, and then
        `note_failure` must follow. Raises TooMany, without a look at the password."""
        attempts = self._limits.login(email, network(address))
        failed = False
        try:
            granted = self._users.login(email, password, now)
            failed = granted is None
        finally:
            if not failed:
                self._limits.forgive(attempts)
        return granted

    def change_password(
        self, member: User, caller: Caller, current: str, new: str, now: datetime
    ) -> None:
        """Change one's own password, which ends all one's logins; guessing `current` is limited as
        logging in is. Raises Invalid, TooMany, Forbidden."""
        attempts = self._limits.login(member.email, f"user:{member.id}")
        failed = False
        try:
            failed = not self._users.change_password(caller, current, new, now)
        finally:
            if not failed:
                self._limits.forgive(attempts)
        if failed:
            raise Invalid(FieldProblem("current", "this is not your password"))

    def note_failure(self, email: str) -> None:
        """Write a failed login into the log of the account's owner, if there is such an account.
        To be called after the answer, so that its time does not tell which emails are known."""
        self._users.note_failed_login(email)


def network(address: str) -> str:
    """Who an address belongs to: of IPv6, where everybody has billions, the /64."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((int(found), 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
