-- admit: connection, base interval, burst, paused, go | slowdown, failures, blocked until (of a
-- rebuild, else 0) | campaign, priority, id, ... in ascending order of ids
-- -> {id and lease of a permit, or two empty strings, id, estimate, id, estimate, ...}
local conn, base, burst = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local building = ARGV[2] ~= ''
if building then call('PEXPIRE', P .. 'building', 30000) end

local s = load(conn, base, burst, tonumber(ARGV[8]))
change_pace(s, base, burst, s.slowdown)
s.paused = tonumber(ARGV[6])
if building then
  s.failures = tonumber(ARGV[9])
  block(s, tonumber(ARGV[10]))
end

local held, touched, asked = {}, {}, {}
for _, campaign in ipairs(call('SMEMBERS', P .. 'held:' .. conn)) do held[campaign] = true end
for i = 11, #ARGV, 3 do
  local campaign, priority, id = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local lane = campaign .. ':' .. priority
  -- In flight or in its lane already: left as it is, so that admitting twice changes nothing.
  if call('HEXISTS', P .. 'flights:' .. conn, id) == 0 then
    local added = call('ZADD', lane_key(conn, lane), 'NX', id, id)
    if not held[campaign] then
      if added == 1 then touched[lane] = (touched[lane] or 0) + 1 end
      asked[priority] = asked[priority] or {}
      table.insert(asked[priority], tonumber(id))
    end
  end
end
for lane, added in pairs(touched) do
  count(s, lane, added)
  reindex(conn, lane)
end

local permit, lease
if ARGV[7] == '1' then permit, lease = give_permit(s) end
save(s)
arm(s, building)

local out = {permit or '', lease or ''}
if not building and s.paused == 0 then
  for priority, ids in pairs(asked) do
    for i = #ids, 1, -1 do
      if text(ids[i]) == permit then table.remove(ids, i) end
    end
    if #ids > 0 then
      local before = places(s, priority, ids)
      for i, id in ipairs(ids) do
        out[#out + 1] = text(id)
        out[#out + 1] = text(slot_after(s, before[i]))
      end
    end
  end
end
return out
