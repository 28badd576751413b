-- Settles a lease.
--
-- KEYS[1]: the lease, as in acquire.lua. ARGV[1]: token. ARGV[2]: d done, r release, e extend.
-- ARGV[3]: lifetime of the result, or the new length, in milliseconds. ARGV[4]: time for which an
-- expired lease is remembered, in milliseconds. ARGV[5]: result. Replies 1 if settled, 0 if the
-- token does not hold the lease, and 3 if the stored data was not written by these scripts.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.call('GET', KEYS[1])
if not stored then return 0 end
if #stored < 25 then return 3 end
if string.sub(stored, 2, 17) ~= ARGV[1] then return 0 end

local length = tonumber(ARGV[3])
if ARGV[2] == 'd' then
    if length == 0 then
        redis.call('DEL', KEYS[1])
    else
        redis.call('SET', KEYS[1], 'd' .. string.sub(stored, 2, 25) .. ARGV[5],
            'PX', string.format('%.0f', length))
    end
    return 1
end
if string.sub(stored, 1, 1) ~= 'h' or struct.unpack('>I8', stored, 18) <= now then return 0 end
if ARGV[2] == 'r' then
    redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], 'h' .. ARGV[1] .. struct.pack('>I8', now + length),
        'PX', string.format('%.0f', length + ARGV[4]))
end
return 1
