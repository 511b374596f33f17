-- beat: epoch and count that the caller saw last -> {epoch, count}.  A count that went back within
-- one epoch means that Redis lost writes (a failover to a lagging replica): then nothing it says
-- of slots can be trusted, and forgetting the epoch makes it cold.
local beat = call('INCR', P .. 'beat')
if ticket == ARGV[3] and beat <= tonumber(ARGV[4]) then
  call('DEL', P .. 'epoch')
  return {'COLD'}
end
return {ticket, text(beat)}
