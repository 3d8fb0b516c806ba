-- Admit one request or refuse it: the arithmetic of gcra.py, on Redis' own clock.
--
-- KEYS[1] the account's theoretical arrival time (microseconds since 1970; none: it has its whole burst)
-- ARGV[1] microseconds a request, ARGV[2] requests at once
--
-- Answers {1 if admitted else 0, microseconds that the account is ahead of the clock}.
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])

local arrival = tonumber(redis.call("GET", KEYS[1]) or now)
local ahead = math.min(math.max(arrival - now, 0), interval * burst)
local admitted = ahead <= interval * (burst - 1)
if admitted then
    ahead = ahead + interval
end
if admitted or arrival ~= now + ahead then
    -- Not tostring(): it keeps 14 digits, and these are 16.
    redis.call("SET", KEYS[1], string.format("%.0f", now + ahead), "PX", math.ceil(ahead / 1000) + 1)
end
return {admitted and 1 or 0, ahead}
