-- Changes records of one owner, if all conditions hold.
--
-- KEYS[1]: the owner's hash. ARGV[1]: mark of the login, or empty. Then five arguments for each
-- write: field, condition (* any, a absent, p present, v and a version), change (k keep, d delete,
-- or the lifetime in milliseconds), version, body.
--
-- Replies {0} if applied, {1, fence, value...} if a condition does not hold, {2, fence} if fenced,
-- and {3} if the stored data was not written by this script.
local key, admitted = KEYS[1], tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local fields = {'f'}
for i = 2, #ARGV, 5 do
    fields[#fields + 1] = ARGV[i]
end
local found = redis.call('HMGET', key, unpack(fields))

local fence = found[1]
if admitted and fence then
    if not string.find(fence, '^%d+$') then return {3} end
    if tonumber(fence) > admitted then return {2, fence} end
end

local holds, damaged = true, false
for i = 2, #found do
    local value = found[i]
    local condition = ARGV[(i - 2) * 5 + 3]
    local kind = string.sub(condition, 1, 1)
    if value and #value < 16 then
        damaged = damaged or kind ~= '*'
        value, found[i] = false, false
    elseif value and struct.unpack('>I8', value, 9) <= now then
        value, found[i] = false, false
    end
    if kind == 'a' then
        holds = holds and not value
    elseif kind == 'p' then
        holds = holds and value
    elseif kind == 'v' then
        holds = holds and value and string.sub(value, 1, 8) == string.sub(condition, 2)
    end
end
if damaged then return {3} end
if not holds then
    table.insert(found, 1, 1)
    return found
end

local put, gone, stored, longest = {}, {}, {}, now
for i = 2, #ARGV, 5 do
    local field, change = ARGV[i], ARGV[i + 2]
    if change == 'd' then
        gone[#gone + 1] = field
    elseif change ~= 'k' then
        local expires = now + tonumber(change)
        longest = math.max(longest, expires)
        stored[field] = true
        put[#put + 1] = field
        put[#put + 1] = ARGV[i + 3] .. struct.pack('>I8', expires) .. ARGV[i + 4]
    end
end
if admitted and not fence and longest > now then
    put[#put + 1] = 'f'
    put[#put + 1] = '0'
end
if admitted then
    local all = redis.call('HGETALL', key)
    for i = 1, #all, 2 do
        local field, value = all[i], all[i + 1]
        if #field == 17 and #value >= 16 and not stored[field]
            and struct.unpack('>I8', value, 9) <= now then
            gone[#gone + 1] = field
        end
    end
end

-- The hash expires with the last of its records. Its expiry is only ever extended.
local left = redis.call('PTTL', key)
if #put > 0 then redis.call('HSET', key, unpack(put)) end
for i = 1, #gone, 1000 do
    redis.call('HDEL', key, unpack(gone, i, math.min(i + 999, #gone)))
end
if longest > now + left then
    redis.call('PEXPIREAT', key, string.format('%.0f', longest))
end
return {0}
