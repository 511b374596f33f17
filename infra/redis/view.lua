-- view: connection, ... -> {now, {fields}, ...} in the order asked; begun ids end each row
local out = {text(now)}
for i = 3, #ARGV do
  local s = load(ARGV[i])
  local row = {next_free(s), s.full_at, s.interval, s.burst, s.paused, s.slowdown, s.failures,
    s.blocked_until, s.permits, s.in_flight, s.passed_over}
  for priority = 1, 10 do row[#row + 1] = s['w' .. priority] end
  for field = 1, #row do row[field] = text(row[field]) end
  if s.in_flight > s.permits then
    local flights = call('HGETALL', P .. 'flights:' .. s.conn)
    for field = 1, #flights, 2 do
      if string.find(flights[field + 1], '|begun', 1, true) then row[#row + 1] = flights[field] end
    end
  end
  out[#out + 1] = row
end
return out
