-- Stores a fence and deletes the owner's records of some families, and those that have expired.
--
-- KEYS[1]: the owner's hash. ARGV[1]: the new fence. ARGV[2]: lifetime of the fence, in
-- milliseconds. ARGV[3]: the families, one byte each. Returns the stored fence, which is never
-- lower than the previous fence.
local key, fence = KEYS[1], tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = redis.call('PTTL', key)

local gone = {}
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
    local field, value = all[i], all[i + 1]
    if field == 'f' then
        if string.find(value, '^%d+$') then fence = math.max(fence, tonumber(value)) end
    elseif string.find(ARGV[3], string.sub(field, 1, 1), 1, true)
        or (#value >= 16 and struct.unpack('>I8', value, 9) <= now) then
        gone[#gone + 1] = field
    end
end

-- A full server executes no script whose first command needs memory. The removal comes first, so
-- that sessions can be revoked on a full server.
gone[#gone + 1] = 'f'
for i = 1, #gone, 1000 do
    redis.call('HDEL', key, unpack(gone, i, math.min(i + 999, #gone)))
end
redis.call('HSET', key, 'f', string.format('%.0f', fence))
local expires = now + math.max(left, tonumber(ARGV[2]))
redis.call('PEXPIREAT', key, string.format('%.0f', expires))
return fence
