-- Runs on every new physical connection, KEYS[1] = the epoch.  An epoch of another run of the
-- server (it restarted from a file, or a replica took over) knows too little: forget it, and the
-- room is cold until it is rebuilt from PostgreSQL.
local epoch = redis.call('GET', KEYS[1])
if epoch then
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  if string.match(epoch, '|(%w+)|') ~= run_id then redis.call('DEL', KEYS[1]) end
end
return 1
