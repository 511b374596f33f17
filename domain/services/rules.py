"""The numbers that every sending service shares, handed over once by the composition root."""

from dataclasses import dataclass
from datetime import timedelta

from domain.connections import Connection, ConnectionState
from domain.media import MediaHosts
from domain.pacing import Pace, interval_ms


@dataclass(frozen=True)
class SendingRules:
    """Limits and times of sending; each is a setting of the same name."""

    enabled: bool = True
    rate_per_minute: float = 10
    burst: int = 1
    max_failures: int = 3
    lease: timedelta = timedelta(seconds=60)
    platform_timeout: timedelta = timedelta(seconds=20)
    deadline: timedelta = timedelta(seconds=29)
    unknown_grace: timedelta = timedelta(seconds=60)
    wake_after: timedelta = timedelta(seconds=30)
    # How long after its estimate an admitted row is looked at again.
    overdue_after: timedelta = timedelta(seconds=60)
    media_hosts: MediaHosts = MediaHosts.parse(("s3.amazonaws.com", "*.amazonaws.com"))  # noqa: RUF009  # frozen

    def pace(self, connection: Connection) -> Pace:
        """How this connection may send: its own rate and burst, else the settings'."""
        return Pace(
            connection_id=connection.id,
            interval_ms=interval_ms(connection.rate_per_minute or self.rate_per_minute),
            burst=connection.burst or self.burst,
            paused=connection.state is not ConnectionState.ACTIVE,
        )
