-- Acquires a lease, unless another token holds the lease or the work is done.
--
-- KEYS[1]: the lease: its state (h held, d done), the token, the end, the result. ARGV[1]: token.
-- ARGV[2]: length in milliseconds. ARGV[3]: time for which an expired lease is remembered, in
-- milliseconds. Replies {0} if granted, {1, milliseconds} if held, {2, result} if done, and {3} if
-- the stored data was not written by this script.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.call('GET', KEYS[1])
if stored then
    if #stored < 25 then return {3} end
    if string.sub(stored, 1, 1) == 'd' then return {2, string.sub(stored, 26)} end
    local ends = struct.unpack('>I8', stored, 18)
    if ends > now and string.sub(stored, 2, 17) ~= ARGV[1] then return {1, ends - now} end
end
local length = tonumber(ARGV[2])
redis.call('SET', KEYS[1], 'h' .. ARGV[1] .. struct.pack('>I8', now + length),
    'PX', string.format('%.0f', length + ARGV[3]))
return {0}
