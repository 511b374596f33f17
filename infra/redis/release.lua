-- release: limit -> {now, next due instant or '', connection, id, lease, connection, id, ...}
local limit = tonumber(ARGV[3])

-- Leases that ran out, at most 50, so that no call is long.  A permit nobody began returns to its
-- place; a call nobody finished is only freed: PostgreSQL decides whether it may be tried again.
local late = call('ZRANGEBYSCORE', P .. 'leases', '-inf', text(now), 'LIMIT', 0, 50)
for _, entry in ipairs(late) do
  local conn, id = string.match(entry, '^(%d+):(%d+)$')
  local flight = flight_of(conn, id)
  if not flight then broken('a lease') end
  local s = load(conn)
  land(s, id, flight)
  if not flight.begun then put_back(s, id, flight.lane) end
  save(s)
  arm(s, true)
end

local out, given = {text(now), ''}, 0
for _, conn in ipairs(call('ZRANGEBYSCORE', P .. 'due', '-inf', text(now), 'LIMIT', 0, limit)) do
  local s = load(conn)
  while given < limit do
    local id, lease = give_permit(s)
    if not id then break end
    for _, field in ipairs({conn, id, lease}) do out[#out + 1] = field end
    given = given + 1
  end
  save(s)
  arm(s, true)
end
out[2] = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')[2] or ''
return out
