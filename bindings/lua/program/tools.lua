-- Commands of the program itself, `perilune NAME ...`: a word in the place of the script. A script of such a name is
-- run as ./NAME. One function each, which is called with the words behind; what is wrong it raises as a text. os.exit
-- is theirs.
local host = ...

local tools = {}

-- What is wrong with the command line, in a line.
local function leave(format, ...)
  io.stderr:write("perilune ", format:format(...), "\n")
  os.exit(1, true)
end

-- Words without options, and the options by name: {prefix = true} takes a value. --help prints the usage and ends.
local function read(usage, known, ...)
  local words, options, waiting = {}, {}, nil
  local tool = usage:match "perilune (%l+)"
  for _, word in ipairs { ... } do
    local name, value = word:match "^%-%-([%w-]+)=?(.*)$"
    if waiting then
      options[waiting], waiting = word, nil
    elseif name == "help" or word == "-h" then
      print(usage)
      os.exit(true, true)
    elseif name and known[name] == nil then
      leave("%s: unrecognized option '%s'\n%s", tool, word, usage)
    elseif name and known[name] and value == "" then
      waiting = name
    elseif name then
      options[name] = known[name] and value or true
    else
      words[#words + 1] = word
    end
  end
  if waiting then leave("%s: a value is needed after '--%s'\n%s", tool, waiting, usage) end
  return words, options
end

local function internal()
  local _ = require "perilune"
  return debug.getregistry()["perilune.internal"]
end

local function write(tool, path, text)
  local ok, message = internal().process.write(path, text)
  if not ok then leave("%s: %s: %s", tool, path, message) end
end

local function contents(tool, path)
  local file, message = io.open(path, "rb")
  if not file then leave("%s: %s", tool, message) end
  local text = file:read "a"
  file:close()
  if not text then leave("%s: %s cannot be read", tool, path) end
  return text
end

-- ---- export ----

local EXPORT = [==[
usage: perilune export MODEL --c FILE.c [--prefix NAME] [--float | --int8] [--most-vectors N [--data FILE.csv]]
Writes a model of peri.save_model as one C99 file and its header.
  --c FILE.c        the file; the header is FILE.h
  --prefix NAME     what the names of its functions begin with (model)
  --float           all numbers in float
  --int8            weights of a network as 8-bit numbers
  --most-vectors N  a machine with a kernel on at most N of its support vectors
  --data FILE.csv   rows that say what this costs: features, and the label last (else the support vectors do)]==]

local function steps_of(m) return type(m) == "table" and m.steps or { m } end

-- The score of m and of what it became, on labelled rows; without them, how many of its own support vectors, as they
-- go into the machine, keep what is predicted.
local function say_cost(peri, m, fewer, path)
  local own, least = steps_of(m), steps_of(fewer)
  own, least = own[#own], least[#least]
  print(("%d of %d support vectors"):format(#least.support, #own.support))
  if path then
    local rows = peri.data.read_csv(path, { dtype = "float64" })
    local d = rows:size(2)
    local X, y = rows[{ {}, { 1, d - 1 } }], rows[{ {}, d }]
    return print(("score on %s: %.4f, was %.4f"):format(path, fewer:score(X, y), m:score(X, y)))
  end
  local V = own.support_vectors
  print(("score on the machine's own predictions of its support vectors: %.4f"):format(least:score(V, own:predict(V))))
end

local function with_fewer(peri, m, most)
  local steps = table.move(steps_of(m), 1, #steps_of(m), 1, {})
  steps[#steps] = peri.model.fewer_vectors(steps[#steps], most)
  return #steps == 1 and steps[1] or peri.model.pipeline(steps)
end

function tools.export(...)
  local words, options = read(EXPORT,
    { c = true, prefix = true, float = false, int8 = false, ["most-vectors"] = true, data = true }, ...)
  if #words ~= 1 then leave("export: a model is missing, or too many\n%s", EXPORT) end
  if not options.c then leave("export: --c FILE.c is missing\n%s", EXPORT) end
  if options.float and options.int8 then leave("export: --float and --int8 are both given\n%s", EXPORT) end
  local most = options["most-vectors"]
  if most and not math.tointeger(tonumber(most)) then
    leave("export: --most-vectors needs a whole number\n%s", EXPORT)
  end
  if options.data and not most then leave("export: --data is for --most-vectors\n%s", EXPORT) end
  local peri = require "perilune"
  local number = options.float and "float" or options.int8 and "int8" or nil
  local ok, result = pcall(function()
    local m = peri.load_model(words[1])
    local fewer = most and with_fewer(peri, m, math.tointeger(tonumber(most))) or m
    if most then say_cost(peri, m, fewer, options.data) end
    return peri.model.export_c(options.c, fewer, { prefix = options.prefix, number = number })
  end)
  if not ok then leave("export: %s", (tostring(result):gsub("^[^:]*:%d+: ", ""))) end
  print(("%s: %d bytes of numbers in flash, %d bytes of RAM"):format(options.c, result.flash, result.ram))
end

-- ---- kernel ----

local KERNEL = [[
usage: perilune kernel install [--user | --prefix DIR]
       perilune kernel FILE
install writes the kernel's description where Jupyter looks for it: for this user (by default), or under DIR. With the
connection FILE that Jupyter has made the program is the kernel of a notebook.]]

local function data_folder(options)
  if options.prefix then return options.prefix .. "/share/jupyter" end
  local given, home = os.getenv "JUPYTER_DATA_DIR", os.getenv "HOME"
  if given and given ~= "" then return given end
  local data = os.getenv "XDG_DATA_HOME"
  if data and data ~= "" then return data .. "/jupyter" end
  if not home then leave "kernel install: HOME is not set (expected --prefix DIR)" end
  return home .. "/.local/share/jupyter"
end

function tools.kernel(...)
  local words, options = read(KERNEL, { user = false, prefix = true }, ...)
  if #words ~= 1 or options.user and options.prefix then
    leave("kernel: what to do is missing, or too much\n%s", KERNEL)
  end
  if words[1] ~= "install" then
    contents("kernel", words[1]) -- says what is wrong
    leave("kernel: %s", host.load "program.kernel"(words[1]))
  end
  local folder = data_folder(options) .. "/kernels/perilune"
  local ok, message = internal().process.mkdir(folder)
  if not ok then leave("kernel install: %s", message) end
  write("kernel install", folder .. "/kernel.json", internal().json.write("kernel", {
    argv = { host.program() or "perilune", "kernel", "{connection_file}" }, display_name = "Lua (Perilune)",
    language = "lua", interrupt_mode = "signal", metadata = { debugger = false },
  }) .. "\n")
  print(folder)
end

-- ---- notebook ----

local NOTEBOOK = [[
usage: perilune notebook script.lua > script.ipynb
Writes a script as a notebook: comments that begin a line, where a statement may begin, become text, what stands between
them code. The notebook runs as the script does.]]

function tools.notebook(...)
  local words = read(NOTEBOOK, {}, ...)
  if #words ~= 1 then leave("notebook: a script is missing, or too many\n%s", NOTEBOOK) end
  local source, title = contents("notebook", words[1]), words[1]:match "([^/]+)$":gsub("%.lua$", ""):gsub("_", " ")
  local ok, message = load(source:gsub("^#[^\n]*", ""), "@" .. words[1], "t")
  if not ok then leave("notebook: %s", message) end
  io.stdout:write(host.load "program.ipynb"(source, title:gsub("^%l", string.upper), internal().json.write))
end

-- ---- new ----

local NEW = [[
usage: perilune new NAME
Begins an experiment in the new folder NAME: a script (NAME.lua), what it is made of (model.lua), a test of that
(test.lua), README.md.]]

local SCRIPT = [=[
-- NAME: a network learns to part two moons. Change what is learnt, how, and what is printed.

local peri = require "perilune"
local model = require "model"
local o = peri.script.options {
  about = "Two moons and a small network.",
  epochs = { 60, quick = 5, doc = "passes over the points" },
  points = { 400, doc = "points to learn from", least = 20 },
  lr = { 0.05, doc = "learning rate of Adam" },
  seed = { 1, doc = "of points, weights and orders" },
}
local config = { epochs = o.epochs, points = o.points, lr = o.lr }
local run <close> = peri.run { name = "NAME", seed = o.seed, config = config }

-- The points: some to learn from, some to choose by, some to judge by.
local X, y = peri.data.moons(o.points, { noise = 0.2, seed = o.seed })
local set = peri.data.split({ X, y }, { train = 0.6, dev = 0.2, test = 0.2, seed = o.seed, stratify = true })

-- Learning, with a line in the record for each epoch.
local net = model.network(2, 2)
local h = peri.train.fit {
  model = net, optimizer = peri.optim.Adam(net:parameters(), { lr = o.lr }), train = set.train, dev = set.dev,
  epochs = o.epochs, batch_size = 20, seed = o.seed,
  callbacks = function(state) run:log { train_loss = state.train_loss, dev_loss = state.dev_loss } end,
}

-- What came of it.
print(("accuracy on the test points: %.3f"):format(h:score(set.test[1], set.test[2])))
o:save(h:plot { title = "NAME" }, "history")
o:save(peri.plot.boundary(h, set.test[1], set.test[2], { title = "NAME" }), "boundary")
o:finish()
]=]

local MODEL = [[
-- What NAME.lua is made of: functions that test.lua can look at by themselves.

local peri = require "perilune"
local nn = peri.nn
local model = {}

-- A network of one hidden layer, from so many features to so many classes.
function model.network(features, classes)
  return nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, classes))
end

return model
]]

local TEST = [[
-- perilune test.lua: ends with a line that says how many checks have passed; status 1 when one has not.

local peri = require "perilune"
local model = require "model"
local passed = 0

local function check(condition, what)
  if not condition then error(what, 2) end
  passed = passed + 1
end

local net = model.network(2, 3)
check(net(peri.zeros(5, 2)):size(2) == 3, "a score for each class")

-- It can learn ten points by heart.
local X, y = peri.data.moons(10, { seed = 1 })
peri.manual_seed(1)
local small = model.network(2, 2)
local h = peri.train.fit {
  model = small, optimizer = peri.optim.Adam(small:parameters(), { lr = 0.05 }), train = { X, y }, epochs = 200,
  batch_size = 10, seed = 1, progress = false,
}
check(h:score(X, y) == 1, "ten points are learnt by heart")
print(passed .. " checks passed")
]]

local README = [[
# NAME

    perilune NAME.lua          # learns, prints, draws into out/NAME; --help lists the options
    perilune test.lua          # checks of what it is made of
    perilune watch out/NAME    # a page of all runs, out/NAME/index.html
    perilune notebook NAME.lua > NAME.ipynb

`NAME.lua` is the experiment, `model.lua` the functions that it is made of, `test.lua` looks at these.
]]

function tools.new(...)
  local words = read(NEW, {}, ...)
  local name = words[1]
  if #words ~= 1 then leave("new: a name is missing, or too many\n%s", NEW) end
  if not name:match "^%a[%w_-]*$" or name == "model" or name == "test" or name == "perilune" then
    leave("new: '%s' cannot be the name of a script (expected a letter, then letters, digits, '_' and '-'; and not " ..
      "model, test or perilune)", name)
  end
  local made, message = internal().process.new_folder(name)
  if not made then leave("new: %s", made == nil and message or name .. " is there already") end
  local files = { [name .. ".lua"] = SCRIPT, ["model.lua"] = MODEL, ["test.lua"] = TEST, ["README.md"] = README }
  for file, text in pairs(files) do
    write("new", name .. "/" .. file, (text:gsub("NAME", name)))
  end
  print(("%s/%s.lua, model.lua, test.lua and README.md: cd %s; perilune %s.lua"):format(name, name, name, name))
end

-- ---- watch ----

local WATCH = [[
usage: perilune watch out/NAME [--once]
Writes out/NAME/index.html, one page of the records of peri.run there: curves, configurations, figures, and the runs
beside each other; or that of a single run. It is written anew while runs go on: reload it. --once: now alone.]]

local EVERY = 1 -- seconds between two looks

-- What changes when a run has logged something or has ended.
local function state_of(folder)
  local process, parts = internal().process, {}
  local function look(path)
    local names, times = process.list(path)
    for _, name in ipairs(names or {}) do
      if name ~= "index.html" then parts[#parts + 1] = path .. "/" .. name .. " " .. tostring(times[name]) end
    end
    return names or {}
  end
  for _, name in ipairs(look(folder)) do look(folder .. "/" .. name) end
  table.sort(parts)
  return table.concat(parts, "\n")
end

function tools.watch(...)
  local words, options = read(WATCH, { once = false }, ...)
  if #words ~= 1 then leave("watch: a folder is missing, or too many\n%s", WATCH) end
  local folder, _ = words[1]:gsub("(.)/+$", "%1"), require("perilune").run
  local path, before, running = folder .. "/index.html", nil, 1
  local function look()
    local state = state_of(folder)
    if state == before then return end
    local page
    page, running = internal().run_page(folder)
    if not page then leave("watch: there are no runs in %s (peri.run writes them)", folder) end
    write("watch", path, page)
    if not before then print(path) end
    before = state
  end
  local ok, message = pcall(function()
    repeat look() until running == 0 or options.once or not host.wait(EVERY)
  end)
  if not ok and not tostring(message):find "interrupted!$" then error(message, 0) end -- Ctrl-C ends it
end

return tools
