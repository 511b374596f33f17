-- rebuild: verb, then
--   start token   -> {ticket}, {} when it is open or somebody else rebuilds.  The lock lasts 30 s
--                    and is renewed by every step.  The new epoch counts from here: nobody can
--                    begin anything until `open`.
--   wipe ticket keys...  what an older epoch left behind
--   open ticket   -> the ticket becomes the epoch, unless Redis restarted or failed over meanwhile
--   abandon ticket
local verb, ticket = ARGV[2], ARGV[3]
if verb == 'start' then
  ticket = text(now) .. '|' .. run_id() .. '|' .. ticket
  if call('EXISTS', P .. 'epoch') == 1 then return {} end
  if not call('SET', P .. 'building', ticket, 'NX', 'PX', 30000) then return {} end
  return {ticket}
end

-- A process that was frozen past its lock must not touch what its successor has built.
if call('GET', P .. 'building') ~= ticket then return {'COLD'} end
call('PEXPIRE', P .. 'building', 30000)
if verb == 'wipe' then
  for i = 4, #ARGV do call('UNLINK', ARGV[i]) end
elseif verb == 'abandon' or string.match(ticket, '|(%w+)|') ~= run_id() then
  call('DEL', P .. 'building')
  return {'COLD'}
else
  call('RENAME', P .. 'building', P .. 'epoch')
  call('PERSIST', P .. 'epoch')
  call('PUBLISH', P .. 'wake', 'open')
end
return {}
