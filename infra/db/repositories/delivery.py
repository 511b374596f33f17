"""The statements of a delivery: claim, open the attempt, record what the call proved."""

from sqlalchemy import BigInteger, Boolean, DateTime, Float, bindparam
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, TEXT

# The two statements of every delivery, as text: built anew each time they cost more than they run.
CLAIM = sql(
    """
    -- Shared, so that a pause waits for this claim and then counts it; and before the message, as
    -- everybody does, so that nobody waits in a circle.
    WITH connection AS (
      SELECT c.id, c.account_id, c.access_key
      FROM messages m JOIN platform_connections c ON c.id = m.connection_id
      WHERE m.id = :id AND c.state = 'active'
        -- Else the limits are asked first, under a lock that nobody may share.
        AND (m.campaign_id IS NULL OR c.bulk_limits IS NULL OR :cleared)
      FOR SHARE OF c
    ), found AS (
      SELECT m.id, c.account_id, c.access_key, f.platform_user_id
      FROM messages m
      JOIN connection c ON c.id = m.connection_id
      JOIN fans f ON f.id = m.fan_id
      WHERE m.id = :id AND m.state = 'queued' AND m.hold IS NULL
        AND f.platform_user_id IS NOT NULL
        -- Never without its media, whatever became of the hold.
        AND NOT jsonb_path_exists(m.attachments, '$[*] ? (!exists(@.mediaId))')
        AND (m.campaign_id IS NULL OR EXISTS (
          SELECT FROM campaigns k WHERE k.id = m.campaign_id AND k.status = 'active'
            AND (k.hours IS NULL OR now() < k.open_until) FOR SHARE))
      FOR NO KEY UPDATE OF m
    )
    UPDATE messages m SET
      state = 'sending',
      attempt_no = m.attempt_no + 1,
      lease_until = now() + :lease,
      wake_after = NULL,
      admitted_at = coalesce(m.admitted_at, now())
    FROM found WHERE m.id = found.id
    RETURNING m.id, m.public_id, m.user_id, m.connection_id, m.campaign_id, m.fan_id, m.priority,
      m.attempt_no, m.failures, m.key_no, m.text, m.price_cents, m.attachments, m.queued_at,
      found.account_id, found.access_key, found.platform_user_id
    """
)
OPEN_ATTEMPT = sql(
    """
    INSERT INTO message_attempts (message_id, connection_id, attempt_no, send_key)
    VALUES (:id, :connection_id, :attempt_no, :send_key)
    """
)
# Proof of sent needs no fence. A platform id that another row holds is left out: what the platform
# said stays in the ledger, and the message still counts as sent.
RECORD = sql(
    """
    WITH closed AS (
      UPDATE message_attempts SET
        slot_at = :slot_at, interval_ms = :interval_ms, started_at = :started_at,
        finished_at = :finished_at, outcome = :outcome, http_status = :http_status,
        error_code = :error_code, detail = :detail, platform_message_id = :platform_message_id
      WHERE message_id = :id AND attempt_no = :attempt_no AND outcome IS NULL
    )
    UPDATE messages m SET
      state = :state,
      failures = :failures,
      key_no = :key_no,
      lease_until = NULL,
      wake_after = now() + cast(:wake_in AS interval),
      delay = coalesce(:delay, m.delay),
      error_code = :shown_code,
      error_detail = :shown_detail,
      failed_at = CASE WHEN :state = 'failed' THEN now() ELSE m.failed_at END,
      sent_at = CASE WHEN :is_sent THEN :started_at ELSE m.sent_at END,
      dead_lettered_at = CASE WHEN :is_sent THEN NULL ELSE m.dead_lettered_at END,
      platform_message_id = CASE WHEN :is_sent AND NOT EXISTS (
          SELECT FROM messages other
          WHERE other.connection_id = :connection_id AND other.id <> :id
            AND other.platform_message_id = :platform_message_id)
        THEN :platform_message_id ELSE m.platform_message_id END
    WHERE m.id = :id AND (
      (m.attempt_no = :attempt_no AND m.state IN ('sending', 'unknown'))
      OR (:is_sent AND m.state = ANY(:provable)))
    RETURNING m.id, m.platform_message_id
    """
).bindparams(
    bindparam("slot_at", type_=DateTime(timezone=True)),
    bindparam("started_at", type_=DateTime(timezone=True)),
    bindparam("finished_at", type_=DateTime(timezone=True)),
    bindparam("interval_ms", type_=Float),
    bindparam("http_status", type_=BigInteger),
    bindparam("is_sent", type_=Boolean),
    bindparam("provable", type_=ARRAY(TEXT)),
    *(
        bindparam(name, type_=TEXT)
        for name in (
            "state",
            "outcome",
            "delay",
            "error_code",
            "detail",
            "platform_message_id",
            "shown_code",
            "shown_detail",
        )
    ),
)
# Whether its campaign ended without it. Shared and before the message, as in the claim: whoever
# cancels has cancelled what was queued of it, or is waited for.
CAMPAIGN_OVER = sql(
    """
    SELECT k.status IN ('cancelled', 'failed') AS is_over FROM campaigns k
    WHERE k.id = (SELECT campaign_id FROM messages WHERE id = :id) FOR SHARE OF k
    """
)
# Whether the fan was deleted, or the one it was merged into. Locked, and before the message as
# everybody does: who deletes a fan has either cancelled what was queued of it, or is waited for.
FAN_GONE = sql(
    """
    WITH RECURSIVE chain AS (
      SELECT f.id, f.merged_into, 0 AS steps FROM messages m JOIN fans f ON f.id = m.fan_id
      WHERE m.id = :id
      UNION ALL
      SELECT f.id, f.merged_into, steps + 1 FROM chain JOIN fans f ON f.id = chain.merged_into
      WHERE steps < 20
    )
    SELECT f.deleted_at IS NOT NULL AND f.merged_into IS NULL AS gone FROM fans f
    WHERE f.id IN (SELECT id FROM chain) ORDER BY f.id FOR SHARE OF f
    """
)
