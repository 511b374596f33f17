-- What the scripts share: one connection's bucket, its lanes, who goes next, and the promise.
-- domain/pacing.py says the same in Python, with the same names and the same order of arithmetic.
--
-- Keys behind the prefix (conn = connection id, lane = '<campaign or 0>:<priority>'):
--   epoch            STRING  '<ms>|<run id>|<token>'; absent = cold, every script answers COLD
--   building         STRING  the same while one process rebuilds; becomes `epoch` when it opens
--   due              ZSET    conn -> instant of its next permit; only those that may get one, so
--                            one entry each however many wait: that is the fairness
--   bucket:<conn>    HASH    see FIELDS; no TTL while anything waits, is out, or was learned
--   lanes:<conn>     ZSET    lane -> priority * 2^45 + id of its oldest message; held ones absent
--   lane:<conn>:<lane>  ZSET message id -> id: oldest first, idempotent, same order after a rebuild
--   held:<conn>      SET     paused campaigns; their lanes wait uncounted
--   flights:<conn>   HASH    message id -> 'lease|lane|permit' or 'lease|lane|begun'
--   leases           ZSET    '<conn>:<message id>' -> deadline of its lease
--   fence            STRING  counts permits; with the epoch it makes leases unique for ever
--   beat             STRING  counts seconds; going back means that Redis lost writes
--   wake             CHANNEL something became due sooner than the pacer was told

-- ARGV[2] is empty, or the ticket of the process that rebuilds: only it may work while cold.
local ticket = call('GET', P .. (ARGV[2] == '' and 'epoch' or 'building'))
if not ticket or (ARGV[2] ~= '' and ARGV[2] ~= ticket) then return {'COLD'} end
local epoch = tonumber(string.match(ticket, '^[^|]+'))

local SLOWEST, BREAKER_AT, AGING = 60000, 5, 4
local BASE = 35184372088832 -- 2^45: ids stay below, so priority and id fit one exact double

-- `waiting` is the sum of w1..w10, the messages that may go per priority.
local FIELDS = {'base', 'burst', 'full_at', 'paused', 'slowdown', 'clean', 'failures',
  'blocked_until', 'permits', 'in_flight', 'passed_over', 'waiting',
  'w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7', 'w8', 'w9', 'w10'}

-- The interval and the tolerance follow from the fields; recompute after changing one of them.
local function derive(s)
  s.interval = math.max(s.base, math.min(SLOWEST, s.base * 2 ^ s.slowdown))
  s.tolerance = (s.burst - 1) * s.interval
end

-- Nothing waits (held lanes wait too), is out or was learned: it may be forgotten once full.
local function idle(s)
  return s.waiting == 0 and s.in_flight == 0 and s.slowdown == 0 and s.failures == 0
    and call('EXISTS', P .. 'held:' .. s.conn) == 0
end

-- Keys went missing one by one (eviction, a hand): nothing left can be trusted, so become cold;
-- the rebuild mends it.  Without this one broken connection would stop the release of all.
local function broken(what)
  call('DEL', P .. 'epoch')
  error('the waiting room is inconsistent and must be rebuilt: ' .. what)
end

-- An unknown bucket was EMPTY at the epoch, so that losing Redis never grants a second burst; a
-- slot begun before may lie up to 2 * LEAD ahead of the epoch.  base, burst, slowdown: for then.
local function load(conn, base, burst, slowdown)
  local raw = call('HGETALL', P .. 'bucket:' .. conn)
  local s, was = {conn = conn}, {}
  for i = 1, #raw, 2 do was[raw[i]] = tonumber(raw[i + 1]) end
  -- A field that was never anything but zero is absent.
  for i = 1, #FIELDS do s[FIELDS[i]] = was[FIELDS[i]] or 0 end
  s.was = was
  if was.base then
    derive(s)
  else
    s.base, s.burst, s.slowdown = base or DEFAULT_BASE, burst or DEFAULT_BURST, slowdown or 0
    derive(s)
    s.full_at = epoch + 2 * LEAD + s.interval + s.tolerance
  end
  return s
end

local function save(s)
  local key, changed = P .. 'bucket:' .. s.conn, {}
  for i = 1, #FIELDS do
    local name = FIELDS[i]
    if s[name] ~= (s.was[name] or 0) then
      changed[#changed + 1] = name
      changed[#changed + 1] = text(s[name])
    end
  end
  if #changed > 0 then call('HSET', key, unpack(changed)) end
  -- A full bucket says no more than an unknown one; ten minutes keep its pace for the next admit.
  if idle(s) then
    call('PEXPIRE', key, math.ceil(math.max(s.full_at, s.blocked_until, now) - now) + 600000)
  else
    call('PERSIST', key)
  end
end

-- The bucket is GCRA, charged at begin; a permit only reserves.
local function next_free(s) return math.max(now, s.full_at - s.tolerance, s.blocked_until) end

-- Enough permits to cover the lead, few calls in flight; one probe while the breaker is open.
local function has_room(s)
  local permits = math.max(math.ceil(LEAD / s.interval) + 1, s.burst)
  local cap = s.interval >= 1000 and 2 or math.ceil(2000 / s.interval)
  if s.failures >= BREAKER_AT then cap = 1 end
  return s.waiting > 0 and s.paused == 0 and s.permits < permits and s.in_flight < cap
end

-- permits * interval + full_at does not change when a permit begins on time: so `begin` conforms
-- whatever the delay of the queue between, and a lost permit costs no token.
local function due(s)
  return math.max(s.full_at + s.permits * s.interval - s.tolerance, s.blocked_until) - LEAD
end

local function change_pace(s, base, burst, slowdown)
  if base == s.base and burst == s.burst and slowdown == s.slowdown then return end
  local empty_at = s.full_at - s.tolerance
  -- Slots begun ahead are a debt in time, not in tokens: it is paid before the pace changes.
  local start = math.max(now, empty_at - s.interval)
  local tokens = math.min(s.burst, (start - empty_at) / s.interval + 1, burst)
  s.base, s.burst, s.slowdown = base, burst, slowdown
  derive(s)
  s.full_at = start + s.tolerance + (1 - tokens) * s.interval
end

local function block(s, till)
  s.blocked_until = math.max(s.blocked_until, till)
  s.full_at = math.max(s.full_at, s.blocked_until + s.tolerance)
end

-- Keep `due` true after any change.  Wakes the pacer when this became the earliest of all; within
-- `release` (quiet) there is no need, since its answer tells.
local function arm(s, quiet)
  if not has_room(s) then
    call('ZREM', P .. 'due', s.conn)
    return
  end
  local at = due(s)
  if not quiet then
    local earliest = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')[2]
    if not earliest or at < tonumber(earliest) then call('PUBLISH', P .. 'wake', s.conn) end
  end
  call('ZADD', P .. 'due', text(at), s.conn)
end

local function lane_key(conn, lane) return P .. 'lane:' .. conn .. ':' .. lane end

local function parts(lane)
  local campaign, priority = string.match(lane, '^(.*):(%d+)$')
  return campaign, tonumber(priority)
end

local function is_held(conn, lane)
  return call('SISMEMBER', P .. 'held:' .. conn, (parts(lane))) == 1
end

-- Bring the index of lanes in line with a lane whose oldest message may have changed.
local function reindex(conn, lane)
  local head = call('ZRANGE', lane_key(conn, lane), 0, 0)[1]
  if head then
    local _, priority = parts(lane)
    call('ZADD', P .. 'lanes:' .. conn, text(priority * BASE + head), lane)
  else
    call('ZREM', P .. 'lanes:' .. conn, lane)
  end
end

-- Count messages of a lane in (+) or out (-) of those that may go.
local function count(s, lane, change)
  local _, priority = parts(lane)
  s['w' .. priority] = s['w' .. priority] + change
  s.waiting = s.waiting + change
end

-- A message returns to its own place: ids order the lane, so nobody overtook it for good.
local function put_back(s, id, lane)
  if call('ZADD', lane_key(s.conn, lane), 'NX', id, id) == 1 and not is_held(s.conn, lane) then
    count(s, lane, 1)
    reindex(s.conn, lane)
  end
end

local function oldest_less_urgent(s, than)
  local best, best_id
  for priority = than + 1, 10 do
    if s['w' .. priority] > 0 then
      local head = call('ZRANGEBYSCORE', P .. 'lanes:' .. s.conn, text(priority * BASE),
        '(' .. text((priority + 1) * BASE), 'WITHSCORES', 'LIMIT', 0, 1)
      local id = head[2] - priority * BASE
      if not best or id < best_id then best, best_id = head[1], id end
    end
  end
  return best
end

-- Who goes next (domain/pacing.py: pick): its lane, or nil if the index lost it.
local function pick(s)
  local lane = call('ZRANGE', P .. 'lanes:' .. s.conn, 0, 0)[1]
  if not lane then return nil end
  local _, priority = parts(lane)
  local less_urgent = s.waiting
  for other = 1, priority do less_urgent = less_urgent - s['w' .. other] end
  if less_urgent == 0 then
    s.passed_over = 0
  elseif s.passed_over < AGING then
    s.passed_over = s.passed_over + 1
  else
    s.passed_over = 0
    lane = oldest_less_urgent(s, priority)
  end
  return lane
end

-- A flight is a message that is out, as a permit or as a begun call.
local function flight_of(conn, id)
  local record = call('HGET', P .. 'flights:' .. conn, id)
  if not record then return nil end
  local lease, lane, state = string.match(record, '^(.-)|(.-)|(.*)$')
  return {lease = lease, lane = lane, begun = state == 'begun'}
end

local function fly(s, id, lease, lane, state, lasting)
  call('HSET', P .. 'flights:' .. s.conn, id, lease .. '|' .. lane .. '|' .. state)
  call('ZADD', P .. 'leases', text(now + lasting), s.conn .. ':' .. id)
end

local function land(s, id, flight)
  call('HDEL', P .. 'flights:' .. s.conn, id)
  call('ZREM', P .. 'leases', s.conn .. ':' .. id)
  s.in_flight = s.in_flight - 1
  if not flight.begun then s.permits = s.permits - 1 end
  if s.in_flight < 0 or s.permits < 0 then broken('a bucket') end
end

-- A permit for whoever is next: id and lease, or nil when it is too early.
local function give_permit(s)
  if not has_room(s) or now < due(s) then return nil end
  local lane = pick(s)
  local id = lane and call('ZPOPMIN', lane_key(s.conn, lane))[1]
  if not id then broken('a lane') end
  count(s, lane, -1)
  reindex(s.conn, lane)
  local lease = string.format('%.0f-%d', epoch, call('INCR', P .. 'fence'))
  fly(s, id, lease, lane, 'permit', PERMIT_LEASE)
  -- A rested bucket is full at any instant: saying `now` loses nothing, and keeps the next permit
  -- an interval away.
  s.full_at = math.max(s.full_at, now, s.blocked_until)
  s.permits = s.permits + 1
  s.in_flight = s.in_flight + 1
  return id, lease
end

-- The promise (domain/pacing.py: sends_before): how many go before a message that has `older`
-- ahead of it within its own priority.
local function sends_before(s, priority, older)
  local urgent, less_urgent, most_urgent = 0, s.waiting, 0
  for other = 1, priority do
    local waiting = s['w' .. other]
    less_urgent = less_urgent - waiting
    if other < priority then
      if urgent == 0 then most_urgent = waiting end
      urgent = urgent + waiting
    end
  end
  local ahead = urgent + older
  local before = ahead + math.min(less_urgent, math.floor((ahead + s.passed_over) / AGING))
  if urgent > 0 then
    local passed = ahead + less_urgent - most_urgent
    before = math.min(before, (AGING + 1) * passed + AGING - s.passed_over)
  end
  return before
end

local function slot_after(s, sends)
  local start = math.max(now, s.blocked_until)
  return math.max(start, math.max(s.full_at, start) + sends * s.interval - s.tolerance)
end

-- places(s, priority, ids) -> for each of the waiting ids (ascending numbers, all of this
-- priority) how many go before it.  Ranks are counted at both ends only and in between just where
-- other lanes of the same priority interleave: a page of a campaign costs two counts per lane.
local function places(s, priority, ids)
  local lanes = call('ZRANGEBYSCORE', P .. 'lanes:' .. s.conn, text(priority * BASE),
    '(' .. text((priority + 1) * BASE))
  local function older_than(id)
    local older = 0
    for _, lane in ipairs(lanes) do
      older = older + call('ZCOUNT', lane_key(s.conn, lane), '-inf', '(' .. text(id))
    end
    return older
  end
  local older = {}
  local function fill(low, high)
    if high - low < 2 then return end
    local middle = math.floor((low + high) / 2)
    if older[high] - older[low] == high - low then
      for i = low + 1, high - 1 do older[i] = older[low] + i - low end
    else
      older[middle] = older_than(ids[middle])
      fill(low, middle)
      fill(middle, high)
    end
  end
  older[1], older[#ids] = older_than(ids[1]), older_than(ids[#ids])
  fill(1, #ids)
  for i = 1, #ids do older[i] = s.permits + sends_before(s, priority, older[i]) end
  return older
end
