-- done: signal ('' = no call was made), put back (1 or 0), retry after in ms,
--       connection, id, lease, ... (give_back passes many)
-- -> {slowdown, failures, blocked until, changed} of the last permit; {} when that was stale
local signal, back, retry_after = ARGV[3], ARGV[4] == '1', tonumber(ARGV[5])

local function throttled(s)
  s.clean = 0
  if s.interval < SLOWEST then change_pace(s, s.base, s.burst, s.slowdown + 1) end
  block(s, now + math.max(retry_after, s.interval))
  return true
end

-- Five in a row open the breaker: 15 s, doubling to 8 min with every probe that fails.
local function troubled(s)
  s.clean = 0
  -- The call began before the breaker opened: it is the same trouble, not a further one.
  if s.failures >= BREAKER_AT and now < s.blocked_until then return false end
  s.failures = s.failures + 1
  if s.failures < BREAKER_AT then return false end
  block(s, now + math.min(15000 * 2 ^ (s.failures - BREAKER_AT), 480000))
  return true
end

local function learn(s)
  if signal == '' then return false end
  if signal == 'throttled' then return throttled(s) end
  if signal == 'troubled' then return troubled(s) end
  local was_open = s.failures >= BREAKER_AT
  s.failures = 0
  if signal == 'clean' and s.slowdown > 0 then
    s.clean = s.clean + 1
    if s.clean == 10 then
      s.clean = 0
      change_pace(s, s.base, s.burst, s.slowdown - 1)
      return true
    end
  end
  return was_open
end

local out = {}
for i = 6, #ARGV, 3 do
  local conn, id = ARGV[i], ARGV[i + 1]
  local flight = flight_of(conn, id)
  out = {}
  if flight and flight.lease == ARGV[i + 2] then
    local s = load(conn)
    land(s, id, flight)
    if back then put_back(s, id, flight.lane) end
    local changed = learn(s)
    save(s)
    arm(s)
    out = {text(s.slowdown), text(s.failures), text(s.blocked_until), changed and '1' or '0'}
  end
end
return out
