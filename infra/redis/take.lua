-- take: limit in halves, window in ms, the caller's own mark -> {allowed, halves counted, ms}
-- KEYS[1] is the log of one subject: a request is two members (mark a and mark b) scored with their
-- time, so that one half can be given back by removing one of them, and counting is one ZCARD.
-- The window moves with each request: there is no edge at which twice the limit would pass.
local limit, window, mark = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
call('ZREMRANGEBYSCORE', P, '-inf', text(now - window))
local counted = call('ZCARD', P)
local allowed = counted + 2 <= limit
-- Refused: allowed again once all but limit - 2 of the halves have left the window.
local last_to_leave = counted - limit + 1
if allowed then
  call('ZADD', P, text(now), mark .. 'a', text(now), mark .. 'b')
  call('PEXPIRE', P, math.ceil(window))
  counted, last_to_leave = counted + 2, 0
end
local since = call('ZRANGE', P, last_to_leave, last_to_leave, 'WITHSCORES')[2]
return {allowed and 1 or 0, counted, text(since + window - now)}
