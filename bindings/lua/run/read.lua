-- Records that are read back, and several beside each other.
local peri, internal = ...
local process, check = internal.process, internal.check
local fail = check.fail

local NAN = 0 / 0
local SPECIAL = { nan = NAN, inf = math.huge, ["-inf"] = -math.huge }

local function contents(path) return (process.read(path)) end

-- Puts what is told under not_finite into its place: "loss", "loss[2]", "config.limit".
local function put_back(values, told)
  for place, word in pairs(type(told) == "table" and told or {}) do
    local holder, key = values, nil
    for name, index in place:gmatch "([^.%[%]]*)%[?(%d*)%]?" do
      for _, part in ipairs { name, tonumber(index) or "" } do
        if part ~= "" then
          if key ~= nil then holder = type(holder) == "table" and holder[key] or {} end
          key = part
        end
      end
    end
    if key ~= nil and type(holder) == "table" then holder[key] = SPECIAL[word] end
  end
end

local function line_of(text)
  local values, problem = internal.json.read(text, NAN)
  if type(values) ~= "table" then return nil, problem or "byte 1 (expected an object)" end
  local told = values.not_finite
  values.not_finite = nil
  put_back(values, told)
  return values
end

-- The lines of metrics.jsonl. A last line that is not whole is being written, or the script has died there.
local function rows_of(path)
  local rows, number = {}, 0
  for line, ending in (contents(path) or ""):gmatch "([^\n]*)(\n?)" do
    number = number + 1
    if line:find "%S" then
      local row, problem = line_of(line)
      if not row and ending ~= "" then fail("run.read: %s:%d: %s", path, number, problem) end
      rows[#rows + 1] = row
    end
  end
  return rows
end

-- For each name that is a number somewhere: float64, an entry for each row, NaN where it has none.
local function history_of(rows)
  local columns = {}
  for i, row in ipairs(rows) do
    for name, value in pairs(row) do
      if type(value) == "number" then
        if not columns[name] then
          columns[name] = {}
          for k = 1, #rows do columns[name][k] = NAN end
        end
        columns[name][i] = value
      end
    end
  end
  local history = {}
  for name, values in pairs(columns) do history[name] = peri.tensor(values, { dtype = "float64" }) end
  return history
end

local PICTURES = { svg = true, png = true }

local function figures_of(path)
  local list = {}
  for _, entry in ipairs(process.list(path) or {}) do
    local name, ending = entry:match "^(.+)%.(%a+)$"
    if PICTURES[ending or ""] and (ending == "svg" or not process.exists(path .. "/" .. name .. ".svg")) then
      list[#list + 1] = path .. "/" .. entry
    end
  end
  table.sort(list)
  return list
end

local Record = { __name = "record" }
Record.__index = Record

function Record:__tostring()
  return ("record of %s: %s, %d steps in %s"):format(tostring(self.name), tostring(self.status), #self.rows, self.path)
end

local FOLDER = check.test("a folder", function(v) return type(v) == "string" and v ~= "" and not v:find "%z" end)

-- The folders of runs in out/NAME, the oldest first.
local function runs_in(folder)
  local list = {}
  for _, entry in ipairs(process.list(folder) or {}) do
    if entry:sub(1, 1) ~= "." and process.exists(("%s/%s/run.json"):format(folder, entry)) then
      list[#list + 1] = folder .. "/" .. entry
    end
  end
  table.sort(list)
  return list
end

local function read(operation, path)
  check.read(operation, "path", path, FOLDER)
  path = path:gsub("(.)/+$", "%1")
  local text = contents(path .. "/run.json")
  if not text then
    local inside = runs_in(path)
    fail("%s: %s is no run's folder: it has no run.json%s", operation, path,
      #inside > 0 and (" (the latest run in it is %s)"):format(inside[#inside]) or "")
  end
  local facts, problem = line_of(text)
  if not facts then fail("%s: %s/run.json: %s", operation, path, problem) end
  facts.path, facts.rows = path, rows_of(path .. "/metrics.jsonl")
  facts.history, facts.figures = history_of(facts.rows), figures_of(path)
  facts.config = type(facts.config) == "table" and facts.config or {}
  return setmetatable(facts, Record)
end

-- ---- several ----

local Comparison = { __name = "comparison" }
Comparison.__index = Comparison

local function shown(value)
  if math.type(value) == "float" then return ("%.6g"):format(value) end
  if type(value) == "table" then return internal.text(value, 60) end
  return value == nil and "" or tostring(value)
end

-- The entries of the configurations that are not the same in all, sorted.
local function differing(records)
  local texts, names = {}, {}
  for _, record in ipairs(records) do
    for name in pairs(record.config) do texts[tostring(name)] = true end
  end
  for name in pairs(texts) do
    local first, same = shown(records[1].config[name]), true
    for _, record in ipairs(records) do same = same and shown(record.config[name]) == first end
    if not same then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local OWN = { step = true, seconds = true }

local function measures_of(records)
  local seen, names = {}, {}
  for _, record in ipairs(records) do
    for name in pairs(record.history) do
      if not OWN[name] and not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names)
  return names
end

-- The last number that is none of NaN.
local function last_of(values)
  for i = values and #values or 0, 1, -1 do
    local value = values[i]
    if value == value then return value end
  end
end

-- Names that tell runs apart: those of their folders, with what stands before where two are the same.
local function label_of(record, records)
  local label = record.path:match "[^/]+$"
  for _, other in ipairs(records) do
    if other ~= record and other.path:match "[^/]+$" == label then return record.path end
  end
  return label
end

function Comparison:__tostring()
  local rows = { { "run", "status" } }
  for _, name in ipairs(self.differing) do table.insert(rows[1], name) end
  for _, name in ipairs(self.measures) do table.insert(rows[1], name) end
  table.insert(rows[1], "seconds")
  for i, record in ipairs(self) do
    local row = { self.labels[i], shown(record.status) }
    for _, name in ipairs(self.differing) do row[#row + 1] = shown(record.config[name]) end
    for _, name in ipairs(self.measures) do row[#row + 1] = shown(last_of(record.history[name])) end
    row[#row + 1] = shown(record.seconds)
    rows[i + 1] = row
  end
  return peri.script.table(rows)
end

local function compare(given)
  local list
  if type(given) == "string" then
    list = runs_in(check.read("run.compare", "runs", given, FOLDER))
    if #list == 0 then fail("run.compare: there are no runs in %s (expected folders with a run.json)", given) end
  else
    list = check.read("run.compare", "runs", given, check.kinds.table)
  end
  if #list == 0 then fail "run.compare: there are no runs (expected folders, or what run.read gives)" end
  local records = {}
  for i, entry in ipairs(list) do
    records[i] = getmetatable(entry) == Record and entry or read("run.compare", entry)
  end
  local comparison = setmetatable({ differing = differing(records), measures = measures_of(records) }, Comparison)
  comparison.labels = {}
  for i, record in ipairs(records) do comparison[i], comparison.labels[i] = record, label_of(record, records) end
  return comparison
end

-- In a legend: what of the configuration is the run's own, where that tells all apart.
local function legend_of(comparison, i)
  local texts, own = {}, nil
  for k, record in ipairs(comparison) do
    local parts = {}
    for _, name in ipairs(comparison.differing) do
      parts[#parts + 1] = name .. " " .. shown(record.config[name])
    end
    local text = table.concat(parts, ", ")
    if text == "" or #text > 40 or texts[text] then return comparison.labels[i] end
    texts[text] = true
    if k == i then own = text end
  end
  return own
end

local function plot(self, measure, options)
  check.called("plot", getmetatable(self) == Comparison, self, "c:plot(measure)")
  measure = check.choice("plot", "measure", measure or self.measures[1], table.concat(self.measures, " "))
  local figure = peri.plot.figure(options or { xlabel = "step", ylabel = measure })
  for i, record in ipairs(self) do
    local values = record.history[measure]
    local label = #self > 1 and legend_of(self, i) or nil
    if values then figure:line(record.history.step or peri.arange(1, #values), values, { label = label }) end
  end
  return figure
end

return { read = read, compare = compare, plot = plot, runs_in = runs_in, Comparison = Comparison, shown = shown }
