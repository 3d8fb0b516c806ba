-- Append a batch to a thread's event log, if the caller may.
--
-- KEYS[1] log (a stream; an entry's id is "<seq>-0"), KEYS[2] fence (the newest epoch that has appended)
-- ARGV[1] epoch, ARGV[2] seq that the log must end with, ARGV[3] "1" to set the fence where there is none or an older
-- one and to accept whatever the log ends with, ARGV[4] milliseconds to live, ARGV[5] entries to keep,
-- then for each event: seq, channel, frame
--
-- Answers: ok | fenced (a newer epoch has appended) | unknown (no fence of this epoch: prove yours, then call with
-- init) | tail_lost (the log does not end where the caller left it).
local log, fence = KEYS[1], KEYS[2]
local epoch, expected, init = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == "1"
local ttl_ms, keep = tonumber(ARGV[4]), tonumber(ARGV[5])

local known = redis.call("GET", fence)
if known and tonumber(known) > epoch then
    return "fenced"
end
if not init and (not known or tonumber(known) < epoch) then
    return "unknown"
end

local last = 0
local tail = redis.call("XREVRANGE", log, "+", "-", "COUNT", 1)
if tail[1] then
    last = tonumber(string.match(tail[1][1], "^(%d+)-"))
end
local final = tonumber(ARGV[#ARGV - 2])
if last >= final then
    -- The same epoch never numbers twice, so the batch is here already: the reply to its append was lost.
    return "ok"
end
if last ~= expected and not init then
    return "tail_lost"
end

for at = 6, #ARGV, 3 do
    if tonumber(ARGV[at]) > last then
        redis.call("XADD", log, "MAXLEN", "~", keep, ARGV[at] .. "-0", "channel", ARGV[at + 1], "frame", ARGV[at + 2])
    end
end
redis.call("PEXPIRE", log, ttl_ms)
redis.call("SET", fence, epoch, "PX", ttl_ms)
return "ok"
