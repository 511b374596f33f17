-- lane: connection, campaign, verb -> {messages affected}.  Ten lanes at most, whatever waits.
local conn, campaign, verb = ARGV[3], ARGV[4], ARGV[5]
local held = call('SISMEMBER', P .. 'held:' .. conn, campaign) == 1
if verb == 'pause' then
  call('SADD', P .. 'held:' .. conn, campaign)
else
  call('SREM', P .. 'held:' .. conn, campaign)
end
if (verb == 'pause') == held and verb ~= 'cancel' then return {'0'} end

local s, affected = load(conn), 0
for priority = 1, 10 do
  local lane = campaign .. ':' .. priority
  local size = call('ZCARD', lane_key(conn, lane))
  if size > 0 then
    affected = affected + size
    if verb == 'cancel' then call('UNLINK', lane_key(conn, lane)) end
    if verb == 'resume' then
      count(s, lane, size)
      reindex(conn, lane)
    elseif not held then
      count(s, lane, -size)
      call('ZREM', P .. 'lanes:' .. conn, lane)
    end
  end
end
-- Saved even if nothing waits: a held lane keeps the bucket, with its own pace, from expiring.
if s.was.base then
  save(s)
  arm(s)
end
return {text(affected)}
