-- Reads or raises the revocation counter of a namespace. A lost counter restarts at the server's
-- time in milliseconds, which is above all earlier values.
--
-- KEYS[1]: the counter. ARGV[1]: 1 to raise it, 0 to read it. ARGV[2]: lowest value. Replies the
-- value.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.call('GET', KEYS[1])
local counter = stored and string.find(stored, '^%d+$') and tonumber(stored)

local value = counter or now
if ARGV[1] == '1' then value = math.max(value + 1, now) end
value = math.max(value, tonumber(ARGV[2]))
if value ~= counter then
    -- A full server executes no script whose first command needs memory. The DEL comes first, so
    -- that sessions can be revoked on a full server.
    if ARGV[1] == '1' then redis.call('DEL', KEYS[1]) end
    redis.call('SET', KEYS[1], string.format('%.0f', value))
end
return value
