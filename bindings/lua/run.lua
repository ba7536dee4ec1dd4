-- peri.run: what a run was made with, and what came of it, in a folder of its own.
local peri, internal = ...
local process, check = internal.process, internal.check
local fail, kinds = check.fail, check.kinds

local json = internal.json.write

local Run = { __name = "run" }
Run.__index = Run

local FORMATS = { svg = true, png = true, pdf = true, txt = true }

-- A name is one entry of a folder: it cannot lead elsewhere, nor be hidden.
local NAME_WORDS = "1 to 100 bytes without '/', '\\' or control characters, and not '.' first"
local NAME = check.test(NAME_WORDS, function(v)
  return type(v) == "string" and #v > 0 and #v <= 100 and not v:find "[/\\%c]" and v:sub(1, 1) ~= "."
end, kinds.string)
local FOLDER = check.test("a folder", function(v) return type(v) == "string" and v ~= "" and not v:find "%z" end)
local FIGURE = check.test("a figure or a page",
  function(v) return type(v) == "table" and check.has_method(v, "save") end)
local KNOWN = { config = kinds.table, dir = FOLDER, name = NAME, seed = kinds.whole }

local function must(ok, message)
  if not ok then fail("run: %s", message) end
  return ok
end

-- out/name/2024-05-01_12-30-00, with -2, -3, ... behind where another run has begun in the same second.
local function make_folder(dir, name)
  local parent = dir .. "/" .. name
  must(process.mkdir(parent))
  local time = os.date "%Y-%m-%d_%H-%M-%S"
  for n = 1, 1000 do
    local path = ("%s/%s%s"):format(parent, time, n > 1 and "-" .. n or "")
    local made, message = process.new_folder(path)
    if made then return path end
    if made == nil then fail("run: %s", message) end
  end
  return fail("run: %s has a thousand runs of this second", parent)
end

-- An object as a line. Numbers that are not finite are null in it, and told under not_finite.
local function line_of(values)
  local text, lost = json("run", values)
  if #lost == 0 then return text .. "\n" end
  values.not_finite = {}
  for _, entry in ipairs(lost) do values.not_finite[entry[1]] = entry[2] end
  return json("run", values) .. "\n"
end

-- run.json, whole or not at all.
local function write_facts(self)
  self._facts.seconds = peri.now() - self._start
  must(process.write(self.path .. "/run.json", line_of(self._facts)))
end

local function check_run(self, method)
  check.called("run", getmetatable(self) == Run, self, ("run:%s(...)"):format(method))
end

local function open(_, options)
  options = check.options("run", check.table("run", options), KNOWN)
  check.library("run", io, "io")
  local name, dir = check.read("run", "name", options.name, NAME), options.dir or "out"
  local config, seed = options.config, options.seed
  local facts = {
    name = name, config = config or {}, seed = seed, started = os.date "!%Y-%m-%dT%H:%M:%SZ", status = "running",
    versions = peri.build_info(), lua = _VERSION, threads = peri.get_num_threads(),
  }
  if type(arg) == "table" then
    facts.script, facts.arguments = arg[0], #arg > 0 and { table.unpack(arg) } or nil
  end
  json("run", facts.config, "config") -- what cannot be written is refused before there is a folder
  local self = setmetatable({ name = name, _facts = facts, _start = peri.now(), _step = 0 }, Run)
  self.path = make_folder(dir, name)
  write_facts(self)
  if seed then peri.manual_seed(seed) end
  self._metrics = must(io.open(self.path .. "/metrics.jsonl", "a"))
  return self
end

function Run:log(values)
  check_run(self, "log")
  if not self._metrics then fail("run: log was called after close") end
  if type(values) ~= "table" then check.must_be("run: log", "values", values, "a table of names and values") end
  local line = { step = self._step + 1, seconds = peri.now() - self._start }
  for name, value in pairs(values) do line[name] = value end
  must(self._metrics:write(line_of(line)))
  must(self._metrics:flush())
  self._step = math.type(line.step) == "integer" and line.step or self._step + 1
  return self
end

function Run:figure(figure, name)
  check_run(self, "figure")
  check.read("run: figure", "name", name, NAME)
  check.read("run: figure", "figure", figure, FIGURE)
  local path = self.path .. "/" .. name
  local ending = name:match "%.(%w+)$"
  figure:save(FORMATS[ending] and path or { path .. ".svg", path .. ".png" })
  return self
end

local function finish(self, status, problem)
  if not self._metrics then return end
  if io.type(self._metrics) == "file" then self._metrics:close() end -- at the end of a state it may be closed already
  self._metrics = nil
  self._facts.status, self._facts.error = status, problem
  write_facts(self)
end

function Run:close()
  check_run(self, "close")
  finish(self, "finished")
end

function Run:__close(problem)
  check_run(self, "__close")
  finish(self, problem == nil and "finished" or "failed", problem ~= nil and tostring(problem):match "^[^\n]*" or nil)
end

-- A run that nobody has closed: the script is at its end, or has let go of it.
function Run:__gc()
  if rawget(self, "_metrics") then finish(self, "ended") end
end

function Run:__tostring()
  check_run(self, "__tostring")
  return ("run %s: %d steps in %s"):format(self.name, self._step or 0, self.path)
end

local run = setmetatable({}, { __call = open })
internal.set_class("run", "Methods of records", Run)

internal.document("run", [[
run{name =, config = {}, dir = 'out', seed =} -> run
Begins the record of a run in the new folder dir/name/time/: run.json (config, seed, versions, command line, status,
seconds), metrics.jsonl (run:log) and figures (run:figure). With seed, peri.manual_seed(seed) is called. name is one
entry of a folder: without '/', not beginning with '.'. `local r <close> = peri.run{...}` closes it and notes an error;
the status of a run that nobody has closed becomes 'ended' with the script.
Fields: path, name.
Errors: unknown options, names that lead elsewhere, a config that JSON cannot say (functions, tables that hold
themselves or are nested more than 100 deep), folders that cannot be made.]], run, {})
internal.document("json", [[
run.json(value) -> string
JSON (RFC 8259): lists for tables with entries 1..n and for tensors, objects with sorted keys for other tables, the
shortest decimals that read back as the same numbers. Numbers that are not finite are null; bytes that are no UTF-8
become U+FFFD; layers and optimisers are their texts.
Errors: functions, tables that hold themselves or are nested more than 100 deep, keys that are neither strings nor whole
numbers, more than 10,000,000 values.]],
  function(value) return (json("run.json", value, "the value")) end, run)
internal.document("log", [[
run:log{name = value, ...} -> run
Adds a line to metrics.jsonl and hands it to the system at once, so that it stays when the script dies. step (the last
one + 1) and seconds are added where they are not given; a number that is not finite is null, and told under
not_finite.]], Run.log, Run)
internal.document("figure", [[
run:figure(figure, name) -> run
Saves a figure or a page in the run's folder: name.svg and name.png, or one format when name ends in .svg, .png, .pdf
or .txt.]], Run.figure, Run)
internal.document("close", [[
run:close()
Ends the record: status becomes 'finished'.]], Run.close, Run)

-- ---- records that are read back ----

local reader = internal.load("run.read", peri, internal)

internal.document("read", [[
run.read(path) -> record
Reads the record of a run back from its folder, of one that still runs too: what run.json has (name, config, seed,
status, seconds, started, ...), path, rows (a table for each run:log), history (for each name that was a number:
float64, an entry for each row, NaN where it had none) and figures (paths). Numbers that are not finite are what they
were.
Errors: a folder without run.json, files that are damaged; a last line that is not whole is left out.]],
  function(path) return reader.read("run.read", path) end, run)
internal.document("compare", [[
run.compare(runs) -> comparison
Several runs beside each other: runs is a list of folders or of what run.read gives, or the folder that has them
(out/NAME). A list of the records with differing (names of the configuration that are not the same in all), measures
(names of the histories) and labels; its text is a table of these, with the last value of each measure.
Errors: as run.read; no runs.]], reader.compare, run)
internal.document("plot", [[
c:plot(measure, options) -> figure
A line for each run of a comparison; by default of its first measure. Options are those of plot.figure.
Errors: a measure that no run has.]], reader.plot, reader.Comparison)
internal.set_class("run.comparison", "Methods of comparisons", reader.Comparison)

-- For `perilune watch`: the page of a run's folder, or of all in a folder, and how many still run.
function internal.run_page(folder)
  local _ = peri.plot
  local paths = reader.runs_in(folder)
  if process.exists(folder .. "/run.json") then paths = { folder } end
  if #paths == 0 then return nil end
  local page = internal.load("run.page", internal, internal.load("report.html", internal.base64), reader)
  return page(folder:match "[^/]+/*$":gsub("/+$", ""), paths)
end

return run
