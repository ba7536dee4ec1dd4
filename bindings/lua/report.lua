-- peri.report: scripts run as programs of their own, and one page of what they printed and drew.
local peri, internal = ...
local process = internal.process
local page = internal.load("report.page", internal.load("report.html", internal.base64))

local check = internal.check
local kinds = check.kinds

local function fail(message, ...) check.fail("report: " .. message, ...) end

local FOLDER = check.test("a folder", function(v) return type(v) == "string" and v ~= "" and not v:find "%z" end)
local KNOWN = {
  title = kinds.string, about = kinds.string, scripts = kinds.table, folder = kinds.string, out = FOLDER,
  arguments = kinds.table, at_once = check.whole_from(1), progress = kinds.boolean,
}
local NAME = check.test("letters, digits, '_' and '-'",
  function(v) return type(v) == "string" and v:match "^[%w_-]+$" end, kinds.string)
local SCRIPT = { name = NAME, title = kinds.string, text = kinds.string, arguments = kinds.table }

-- ---- what is asked for ----

local function check_scripts(scripts)
  local seen = {}
  for i, script in ipairs(scripts) do
    local where = ("report: script %d"):format(i)
    check.options(where, check.table(where, script), SCRIPT)
    for _, field in ipairs { "name", "title" } do check.read(where, field, script[field], SCRIPT[field]) end
    if seen[script.name] then fail("there are two scripts named %s", script.name) end
    seen[script.name] = true
  end
  if #scripts == 0 then fail "there are no scripts" end
end

local function checked(given)
  local options = check.options("report", check.table("report", given), KNOWN)
  check.library("report", io, "io")
  for _, name in ipairs { "title", "scripts", "folder", "out" } do
    if options[name] == nil then fail("option %s is missing (expected %s)", name, KNOWN[name].expected) end
  end
  check_scripts(options.scripts)
end

-- The program that runs this script: the first word of the command line.
local function interpreter()
  if type(arg) ~= "table" then fail "the program that runs the scripts is not known: there is no global arg" end
  local first = 0
  while arg[first - 1] do first = first - 1 end
  return arg[first]
end

-- ---- files ----

local function contents(path) return (internal.process.read(path)) end

-- The names of the pictures in a folder, without endings, in the order in which they were written; and which endings
-- each has.
local function pictures_in(folder)
  local names, endings, written = {}, {}, {}
  local entries, times = process.list(folder)
  for _, entry in ipairs(entries or {}) do
    local name, ending = entry:match "^(.+)%.(%a+)$"
    if ending == "svg" or ending == "png" then
      if not endings[name] then names[#names + 1] = name end
      endings[name] = endings[name] or {}
      endings[name][ending] = true
      written[name] = math.min(written[name] or math.maxinteger, times[entry])
    end
  end
  table.sort(names, function(a, b)
    if written[a] ~= written[b] then return written[a] < written[b] end
    return a < b
  end)
  return names, endings
end

-- Those of an earlier run would pass for pictures of this one.
local function remove_pictures(folder)
  local names, endings = pictures_in(folder)
  for _, name in ipairs(names) do
    for ending in pairs(endings[name]) do os.remove(("%s/%s.%s"):format(folder, name, ending)) end
  end
end

local function read_pictures(folder)
  local names, endings = pictures_in(folder)
  local pictures = {}
  for _, name in ipairs(names) do
    local format = endings[name].svg and "svg" or "png"
    local bytes = contents(("%s/%s.%s"):format(folder, name, format))
    if bytes then pictures[#pictures + 1] = { name = name, format = format, bytes = bytes } end
  end
  return pictures
end

-- ---- running ----

local function arguments_of(given, script)
  local arguments = {}
  for _, list in ipairs { given.arguments or {}, script.arguments or {} } do
    for _, word in ipairs(list) do arguments[#arguments + 1] = tostring(word) end
  end
  return arguments
end

-- Scripts that run side by side compute with one thread each: results are the same with any number.
local function job_of(program, path, arguments, folder)
  local argv = { "env", "PERILUNE_NUM_THREADS=1", program, path }
  table.move(arguments, 1, #arguments, #argv + 1, argv)
  argv[#argv + 1], argv[#argv + 2] = "--out", folder
  return { argv = argv }
end

-- What a script printed, without the last line of script's finish: on the page the pictures stand below.
local function output_of(ended, folder)
  local text, last = ended.stdout or "", "pictures: " .. folder .. "\n"
  return text:sub(-#last) == last and text:sub(1, -#last - 1) or text
end

-- What went wrong, or nil.
local function problem_of(ended)
  if ended.error then return ended.error end
  if ended.status == 0 then return nil end
  local said = ended.stderr:find "%S" and ended.stderr or "it said nothing on stderr"
  return ("%s\n(exit status %d)"):format(said:gsub("%s+$", ""), ended.status)
end

-- What is to be started for each script, and what is known of it before.
local function prepared(given)
  local program, jobs, results = interpreter(), {}, {}
  for i, script in ipairs(given.scripts) do
    local path, folder = ("%s/%s.lua"):format(given.folder, script.name), given.out .. "/" .. script.name
    local arguments = arguments_of(given, script)
    remove_pictures(folder)
    jobs[i] = job_of(program, path, arguments, folder)
    results[i] = {
      name = script.name, title = script.title, text = script.text or "", source = contents(path), folder = folder,
      command = table.concat({ script.name .. ".lua", table.unpack(arguments) }, " "),
    }
  end
  return jobs, results
end

local function run_scripts(given)
  local jobs, results = prepared(given)
  local at_once = math.tointeger(given.at_once or 2)
  -- The first ones begin now, and another one whenever one ends.
  local begun = {}
  for i = 1, math.min(at_once, #jobs) do begun[i] = peri.now() end
  process.run_all(jobs, at_once, function(i, ended)
    local result, now = results[i], peri.now()
    begun[#begun + 1] = now
    result.seconds, result.output, result.problem = now - begun[i], output_of(ended, result.folder), problem_of(ended)
    result.pictures = read_pictures(result.folder)
    if given.progress ~= false then
      print(("%-18s %6.1f s  %s"):format(result.name, result.seconds,
        result.problem and "failed: " .. result.problem:match "[^\n]*" or "pictures: " .. #result.pictures))
    end
  end)
  return results
end

local function facts()
  local info = peri.build_info()
  return ("Perilune %s, %s, kernels for %s, OpenBLAS for %s. Made %s."):format(info.version, info.compiler,
    info.kernels, info.openblas_core, os.date "%Y-%m-%d %H:%M")
end

local function report(given)
  checked(given)
  local path = given.out .. "/index.html"
  local ok, message = process.mkdir(given.out)
  if not ok then fail("%s", message) end -- before anything is run for nothing
  local results, failed = run_scripts(given), {}
  for _, result in ipairs(results) do
    if result.problem then failed[#failed + 1] = result.name end
  end
  ok, message = process.write(path, page(given.title, given.about or "", facts(), results))
  if not ok then fail("%s", message) end
  return failed, path
end

internal.document("report", [[
report{title =, scripts = {{name =, title =, text = '', arguments = {}}, ...}, folder =, out =, ...} -> failed, path
Runs folder/name.lua for each script, as a program of its own with arguments (of all, its own, and --out out/name), and
writes out/index.html: one page, with nothing outside it, of what the scripts printed, the pictures that they left in
out/name (.svg, else .png), the texts, and the sources. Pictures of earlier runs are removed. A script that fails is
shown with its message; failed is the list of their names.
text stands under the title of the script's section, about at the head of the page; a blank line begins a paragraph.
Pictures come in the order in which they were saved. Below each stands the doc of its figure or page, else its title,
else its name; those who cannot see it are told title and doc. A click shows it as large as the window.
Further options: arguments (of every script), at_once = 2 (scripts that run side by side, with one thread each), about,
progress = true (a line as each script ends).
Errors: options that are missing or wrong, a page that cannot be written.]], report, {})

return report
