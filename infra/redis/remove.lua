-- remove: connection, lane, id -> {'1'} when it waited in that lane, held or not
local conn, lane, id = ARGV[3], ARGV[4], ARGV[5]
if call('ZREM', lane_key(conn, lane), id) == 0 then return {'0'} end
if not is_held(conn, lane) then
  local s = load(conn)
  count(s, lane, -1)
  reindex(conn, lane)
  save(s)
  arm(s)
end
return {'1'}
