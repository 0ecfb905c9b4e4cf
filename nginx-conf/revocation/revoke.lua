-- Adds a line to a revocation list in Redis, and writes the list anew as text:
--
--     export REDISCLI_AUTH=...                           # the password, where Redis has one
--     redis-cli --eval revoke.lua revoked:tokens , 3f2c9a7e-lost-laptop 3600
--     redis-cli --eval revoke.lua revoked:users , "alice before=1795651200" 3600
--
-- The number says after how many seconds the line may go: the longest lifetime of a token. Without line and
-- number it only writes the list, which is how an empty one begins.
--
-- revoked:tokens is the text that nginx fetches, revoked:tokens:lines the lines by the time of their end.

local lines = KEYS[1] .. ':lines'
local now = tonumber(redis.call('TIME')[1])

if ARGV[1] then
    local seconds = tonumber(ARGV[2])
    if not seconds or seconds <= 0 then
        return redis.error_reply('ERR for how many seconds?')
    end
    if ARGV[1] == '' or ARGV[1]:find('[\r\n]') then
        return redis.error_reply('ERR a line is wanted, and no more than one')
    end
    redis.call('ZADD', lines, now + seconds, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', lines, '-inf', now)
local all = redis.call('ZRANGE', lines, 0, -1)
-- The first line tells a list from anything else (first=#revoked).
redis.call('SET', KEYS[1], '#revoked\n' .. table.concat(all, '\n') .. '\n')
return #all
