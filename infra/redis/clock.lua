-- Loaded before every script; the adapter puts the room's numbers (LEAD, ...) in front of it.
-- KEYS[1] = prefix with a hash tag: every key a script touches starts with it, so all lie in one
-- slot of a Redis Cluster.  ARGV[1] = now in ms, or 0 for Redis TIME: the only clock that counts.
local P, call = KEYS[1], redis.call
local now = tonumber(ARGV[1])
if now == 0 then
  local time = call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end

-- Seventeen digits bring every double back as it was: the oracle in Python compares exactly.
local function text(number) return string.format('%.17g', number) end

-- The server's own name for this run of it; a restart or a failover changes it.
local function run_id() return string.match(call('INFO', 'server'), 'run_id:(%w+)') end
