-- The requests of one row, each with the next token of a file, and what came of them in one line.
--
--     wrk -s requests.lua URL -- FILE
--
-- The tokens are the lines of the file, from the front again after the last one. All rows go through here, so that what
-- the generator itself takes is the same for all.

local requests = {}
local at = 0

function init(args)
    for token in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. token })
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

-- Times are in microseconds.
function done(summary, latency)
    local errors = summary.errors
    print(string.format("result %d %d %d %d %d %d",
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
