-- peri.interactive: what the commands of the prompt and the magic of a notebook do, as functions for scripts.
local peri, internal = ...
local check = internal.check
local fail, kinds = check.fail, check.kinds
local text_of = internal.text

local interactive = {}
local document = internal.document

local PATH = check.test("a path", function(v) return type(v) == "string" and v ~= "" and not v:find "%z" end)
local MODULE = check.test("the name of a module", function(v) return type(v) == "string" and v ~= "" end)

local function callable(operation, f) return check.read(operation, "f", f, kinds.callable) end

-- ---- values ----

document("text", [[
interactive.text(x, {width = 80}) -> string
x as the prompt shows it: a plain table as Lua would read it, with its list first and its fields sorted, in lines of at
most width characters; long lists, deep tables and cycles are cut short. All else is as tostring gives it.]],
  function(x, options)
    local given = check.options("interactive.text", options, { width = check.whole_from(1) })
    return text_of(x, given.width or 80)
  end, interactive)

-- ---- names ----

internal.load("interactive.names", peri, internal, interactive)

-- ---- time ----

internal.load("interactive.measure", peri, internal, interactive, callable)

-- ---- the workspace ----

internal.load("interactive.workspace", peri, internal, interactive, PATH)

-- Fills the old table with what the new one has, so that who holds it has the new functions.
local function take_over(old, new)
  if type(old) ~= "table" or type(new) ~= "table" or rawequal(old, new) then return new end
  for key in pairs(old) do old[key] = nil end
  for key, value in pairs(new) do old[key] = value end
  return setmetatable(old, getmetatable(new))
end

document("reload", [[
interactive.reload(name) -> module
Reads a module again that require has loaded, after a change of its file. Where it is a table, the old one gets the new
fields, so that variables that hold it see them; functions that were copied out of it stay as they are.
Errors: a module of C, perilune itself; one that cannot be read: then the old one stays.]], function(name)
  check.read("interactive.reload", "name", name, MODULE)
  local old = package.loaded[name]
  if name == "perilune" or old == _G or package.preload[name] and not package.searchpath(name, package.path) then
    fail("interactive.reload: %s cannot be loaded twice (expected a module written in Lua)", name)
  end
  local path = package.searchpath(name, package.path)
  if not path then fail("interactive.reload: there is no file for the module %s in package.path", name) end
  package.loaded[name] = nil
  local ok, new = pcall(require, name)
  if not ok then
    package.loaded[name] = old
    error(new, 0)
  end
  package.loaded[name] = take_over(old, new)
  return package.loaded[name]
end, interactive)

-- ---- pictures ----

local function plain_list(x)
  if type(x) ~= "table" or getmetatable(x) ~= nil or #x == 0 then return x end
  local ok, tensor = pcall(peri.tensor, x, { dtype = "float64" })
  return ok and tensor or x
end

local DRAWN = {}

DRAWN[1] = function(figure, x)
  if x.dtype == "bool" then x = x:to "uint8" end
  return figure:line(x)
end
DRAWN[2] = function(figure, x)
  local n, columns = x.shape[1], x.shape[2]
  if columns <= 6 and n > 2 * columns then
    for j = 1, columns do figure:line(x[{ {}, j }], { label = ("column %d"):format(j) }) end
    return figure
  end
  return figure:image(x, { colorbar = true })
end
DRAWN[3] = function(figure, x)
  if x.shape[1] == 1 then return figure:image(x[1]) end
  return figure:images(x)
end
DRAWN[4] = function(figure, x)
  if x.shape[2] == 1 then return figure:images(x:reshape(x.shape[1], x.shape[3], x.shape[4])) end
  return figure:histogram(x:reshape(-1))
end

local HISTORY = { "train_loss", "dev_loss" }

local function of_training(x)
  local curves = {}
  for _, name in ipairs(HISTORY) do
    local values = check.field(x, name)
    if peri.is_tensor(values) and values:dim() == 1 then curves[#curves + 1] = { name:gsub("_", " "), values } end
  end
  if #curves == 0 then return nil end
  local figure = peri.plot.figure { xlabel = "epoch", ylabel = "loss" }
  for _, curve in ipairs(curves) do figure:line(curve[2], { label = curve[1] }) end
  return figure
end

document("plot", [[
interactive.plot(x) -> figure
The picture that is meant by x: a line of a vector, a line for each column of a matrix with few of them, else an image;
images of n x height x width and n x 1 x height x width; a histogram of what has more dimensions; the losses of a
training; a confusion matrix. x may be a list of numbers, or of such. What is a figure already stays it.
Errors: anything else, an empty tensor.]], function(x)
  local kind = peri.type(x)
  if kind == "figure" or check.has_method(x, "save") and check.has_method(x, "show") then return x end
  if kind == "confusion" then return x:plot() end
  x = plain_list(x)
  if not peri.is_tensor(x) then
    return of_training(x) or check.must_be("interactive.plot", "x", x, "a tensor, a list of numbers or a training")
  end
  if x:numel() == 0 then fail("interactive.plot: x is empty (expected elements)") end
  if x:dim() == 0 then x = x:reshape(1) end
  x = x:detach()
  local draw = DRAWN[x:dim()]
  local figure = peri.plot.figure {}
  if not draw then return figure:histogram(x:reshape(-1)) end
  return draw(figure, x)
end, interactive)

-- ---- settings ----

internal.load("interactive.settings", peri, internal, interactive)

-- ---- what is shown in a notebook ----

internal.load("interactive.display", peri, internal, interactive)

return interactive
