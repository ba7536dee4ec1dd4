-- Scores a row of numbers: GET /score?0.5,1 answers the label and the decision. mod_magnet keeps one Lua state for the
-- script in each worker, and runs the script for each request; what is made once stands in package.loaded.
local r = lighty.r
if r.req_attr["uri.path"] ~= "/score" then return 404 end

local service = package.loaded["perilune.service"]
if not service then
  local peri = require "perilune"
  peri.set_num_threads(1) -- the workers are the processors' share
  service = { peri = peri, model = peri.load_model(os.getenv "MAGNET_MODEL") }
  package.loaded["perilune.service"] = service
end

local row = {}
for word in (r.req_attr["uri.query"] or ""):gmatch "[^,]+" do row[#row + 1] = tonumber(word) end
local ok, answer = pcall(function()
  local x = service.peri.tensor { row }
  return ('{"label": %d, "decision": %.6f}\n'):format(service.model:predict(x):item(),
    service.model:decision_function(x):item())
end)
r.resp_header["Content-Type"] = "application/json"
r.resp_body.set { ok and answer or ('{"error": "%s"}\n'):format(answer:gsub('[%c"\\]', " ")) }
return ok and 200 or 400
