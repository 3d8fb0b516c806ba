-- The next events of a thread's event log: some, within so many bytes, but one at least.
--
-- KEYS[1] log (a stream; an entry's id is "<seq>-0")
-- ARGV[1] seq after which they begin, ARGV[2] how many at most, ARGV[3] bytes that their frames may have together
--
-- Answers as XRANGE does. Where an event may have 64 KB, a number of them says little.
local after, most, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local step = 10
local found, bytes = {}, 0

local function frame_of(entry)
    for at = 1, #entry[2], 2 do
        if entry[2][at] == "frame" then
            return entry[2][at + 1]
        end
    end
    return ""
end

while true do
    local entries = redis.call("XRANGE", KEYS[1], string.format("%.0f-0", after + 1), "+", "COUNT", step)
    for _, entry in ipairs(entries) do
        bytes = bytes + #frame_of(entry)
        if #found == most or (#found > 0 and bytes > most_bytes) then
            return found
        end
        found[#found + 1] = entry
        after = tonumber(string.match(entry[1], "^(%d+)-"))
    end
    if #entries < step then
        return found
    end
end
