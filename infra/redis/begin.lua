-- begin: connection, id, lease -> {'ok' | 'stale' | 'parked', slot, now, base interval}.
-- Charges the token: the last moment before a call.
local conn, id = ARGV[3], ARGV[4]
local flight = flight_of(conn, id)
if not flight or flight.lease ~= ARGV[5]
  or tonumber(call('ZSCORE', P .. 'leases', conn .. ':' .. id)) <= now then
  return {'stale', '0', text(now), '0'}
end

local s = load(conn)
local slot = next_free(s)
if s.paused == 1 or slot - now > LEAD + math.min(s.interval, LEAD) then
  -- Blocked, paused or slowed down since the permit: it waits its turn again.
  land(s, id, flight)
  put_back(s, id, flight.lane)
  save(s)
  arm(s)
  return {'parked', '0', text(now), '0'}
end

s.full_at = math.max(s.full_at, slot) + s.interval
-- A second begin of the same permit keeps the first charge: that slot is given up, not reused.
if not flight.begun then s.permits = s.permits - 1 end
fly(s, id, flight.lease, flight.lane, 'begun', SEND_LEASE)
save(s)
arm(s)
return {'ok', text(slot), text(now), text(s.base)}
