-- place: connection, lane, id -> {how many go before, estimated slot}, {} when it does not wait
local conn, lane, id = ARGV[3], ARGV[4], ARGV[5]
if not call('ZSCORE', lane_key(conn, lane), id) or is_held(conn, lane) then return {} end
local s, _, priority = load(conn), parts(lane)
local before = places(s, priority, {tonumber(id)})[1]
return {text(before), text(slot_after(s, before))}
