-- Append a batch to a thread's event log, if the caller may.
--
-- KEYS[1] log (a stream; an entry's id is "<seq>-0"), KEYS[2] fence (the newest epoch that has appended)
-- ARGV[1] epoch, ARGV[2] seq that the log must end with, ARGV[3] "1" if the caller has proved its epoch in PostgreSQL:
-- the fence is set where there is none or an older one, ARGV[4] milliseconds to live, ARGV[5] entries to keep, ARGV[6]
-- bytes of frames to keep, then for each event: seq, channel, frame, "1" if it is the thread's account's only, whoever else may read the log
--
-- Answers {word, seq that the log ends with}:
-- ok: the batch is there; fenced: a newer epoch has appended; unknown: no fence of this epoch (prove yours, then call
-- again); tail_lost: the log does not end where the caller left it, and nothing was appended (the fence stands).
local log, fence = KEYS[1], KEYS[2]
local epoch, expected, proved = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == "1"
local ttl_ms, keep, keep_bytes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local function seq_of(entry)
    return tonumber(string.match(entry[1], "^(%d+)-"))
end

-- How many bytes had been appended with an entry, since the log began: what is kept is known from its two ends.
local function bytes_with(entry)
    for at = 1, #entry[2], 2 do
        if entry[2][at] == "bytes" then
            return tonumber(entry[2][at + 1])
        end
    end
    return 0
end

local last, bytes = 0, 0
local tail = redis.call("XREVRANGE", log, "+", "-", "COUNT", 1)
if tail[1] then
    last, bytes = seq_of(tail[1]), bytes_with(tail[1])
end

local known = redis.call("GET", fence)
if known and tonumber(known) > epoch then
    return {"fenced", last}
end
if not known or tonumber(known) < epoch then
    if not proved then
        return {"unknown", last}
    end
    -- Before anything else: from here on no older epoch can move the log's end.
    redis.call("SET", fence, epoch, "PX", ttl_ms)
end

if last >= tonumber(ARGV[#ARGV - 3]) then
    -- No number is used twice, so the batch is here already: the reply to its append was lost.
    return {"ok", last}
end
if last ~= expected then
    return {"tail_lost", last}
end

for at = 7, #ARGV, 4 do
    -- Facts that a dead holder has numbered may be here already.
    if tonumber(ARGV[at]) > last then
        bytes = bytes + #ARGV[at + 2]
        local entry = {"channel", ARGV[at + 1], "frame", ARGV[at + 2], "bytes", string.format("%.0f", bytes)}
        if ARGV[at + 3] == "1" then
            entry[7], entry[8] = "private", "1"
        end
        redis.call("XADD", log, "MAXLEN", "~", keep, ARGV[at] .. "-0", unpack(entry))
        last = tonumber(ARGV[at])
    end
end
-- The oldest go while all behind them are enough: never the newest one. What was removed from the middle counts as kept.
local trimmed
repeat
    trimmed = nil
    local oldest = redis.call("XRANGE", log, "-", "+", "COUNT", 10)
    for _, entry in ipairs(oldest) do
        if bytes - bytes_with(entry) < keep_bytes then
            break
        end
        trimmed = seq_of(entry)
    end
    if trimmed then
        redis.call("XTRIM", log, "MINID", string.format("%.0f-0", trimmed + 1))
    end
until not trimmed or trimmed < seq_of(oldest[#oldest])
redis.call("PEXPIRE", log, ttl_ms)
redis.call("PEXPIRE", fence, ttl_ms)
return {"ok", last}
