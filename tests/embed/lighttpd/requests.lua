-- What wrk asks for: rows that change. In the end the figures, for the check.
local n = 0
function request()
  n = (n + 1) % 1000
  return wrk.format("GET", ("/score?%.3f,%.3f"):format(n / 500 - 1, 1 - n / 400))
end
function done(summary, latency)
  local errors = summary.errors
  print(("%d %d %d %d"):format(summary.requests, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
