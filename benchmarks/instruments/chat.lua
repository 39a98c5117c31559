-- A chat request for wrk: `-- MODE MODEL [new]`; with `new` every text is one that was never asked before, of some 15
-- to 230 tokens in turn.
local asked = 0

local function body(text)
  return '{"model":"' .. wrk.thread_model .. '","messages":[{"role":"user","content":"' .. text .. '"}]}'
end

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["X-Dynamo-Routing"] = args[1]
  wrk.thread_model = args[2]
  wrk.body = body("What is the capital of France?")
  if args[3] == "new" then
    request = function()
      asked = asked + 1
      local more = string.rep(" And how much would that be in words?", asked % 13 * 2)
      return wrk.format(nil, nil, nil, body("What is " .. asked .. " plus " .. os.time() .. "?" .. more))
    end
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"p50_us":%d,"p99_us":%d,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
