-- The text of an export: what is written piece by piece, functions of the runtime's own headers, and numbers.
local internal = ...

local text = {}

-- ---- the runtime's functions: definitions of its headers by name ----

local definitions -- {name = {text =, at =}}

-- Definitions begin in the first column, and end with a brace there or with their only line.
local function read_definitions(source, into)
  local name, lines
  for line in (source .. "\n"):gmatch "(.-)\n" do
    if lines then
      lines[#lines + 1] = line
    elseif line:find "^static " or line:find "^typedef struct " then
      lines = { line }
      name = line:match "^typedef struct ([%w_]+)" or line:match "([%w_]+)[%(%[]"
    elseif line:find "^#define [%w_]+ " then
      into[#into + 1] = { name = line:match "^#define ([%w_]+)", text = line }
    end
    local ends = lines and (line:find "^}" or #lines == 1 and line:find "}$")
    if ends then
      into[#into + 1] = { name = name, text = table.concat(lines, "\n"):gsub("PERI_ALWAYS_INLINE", "inline") }
      lines = nil
    end
  end
  return into
end

local TYPES = { f32 = "float", f64 = "double" }

local function load_definitions()
  if definitions then return definitions end
  definitions = read_definitions(internal.source "kernels/mathfun.h", {})
  local special, activations = internal.source "kernels/special.h", internal.source "kernels/activations.h"
  read_definitions(special:match "^(.-)#define T ", definitions)
  for suffix, type_name in pairs(TYPES) do
    local source = activations:gsub("FN%(([%w_]+)%)", "%1_" .. suffix):gsub("%f[%w_]T%f[^%w_]", type_name)
    read_definitions(source, definitions)
  end
  for at, row in ipairs(definitions) do
    row.at = at
    definitions[row.name] = row
  end
  return definitions
end

-- The texts of functions by these names and of all that they use, in the order of the files.
function text.functions_of(names)
  local all, wanted, list = load_definitions(), {}, {}
  local function want(name)
    local row = all[name]
    if not row or wanted[row] then return end
    wanted[row] = true
    list[#list + 1] = row
    for word in row.text:gmatch "%f[%a_][%w_]+" do want(word) end
  end
  for name in pairs(names) do want(name) end
  table.sort(list, function(a, b) return a.at < b.at end)
  local texts = {}
  for i, row in ipairs(list) do texts[i] = row.text end
  return table.concat(texts, "\n")
end

-- ---- the text ----

local Writer = {}
Writer.__index = Writer

function Writer:add(piece, ...) self.lines[#self.lines + 1] = select("#", ...) > 0 and piece:format(...) or piece end
function Writer:use(name)
  self.names[name .. self.suffix] = true
  return name .. self.suffix
end

function text.number(value, single)
  if value ~= value then return "NAN" end
  if value == math.huge or value == -math.huge then return value < 0 and "-INFINITY" or "INFINITY" end
  return ("%a%s"):format(value, single and "f" or "")
end

-- A const array, of a type or "D", and its bytes, counted.
text.sizes = { float = 4, double = 8, int8_t = 1, ["long long"] = 8 }
function Writer:array(type_name, name, values)
  if type_name == "D" then type_name = self.D end
  local words = {}
  for i, value in ipairs(values) do
    local whole = type_name == "int8_t" or type_name == "long long"
    words[i] = (i % 8 == 1 and "\n    " or " ")
      .. (whole and ("%d"):format(value) or text.number(value, type_name == "float"))
  end
  if #words == 0 then words[1] = "0" end
  self.flash = self.flash + #values * text.sizes[type_name]
  self:add("static const %s %s[] = {%s};", type_name, name, table.concat(words, ","))
end

-- A piece of text that stands once.
function Writer:need(name, piece)
  if self.needed[name] then return end
  self.needed[name] = true
  local scale = self.int8 and "const T *scale, " or ""
  local at = name == "conv" and "m" or "i"
  local times = self.int8 and ("%stotal *= scale[%s];\n"):format(name == "conv" and "        " or "    ", at) or ""
  self:add(((piece:gsub("TIMES", times):gsub("SCALE", scale):gsub("WEIGHT", self.int8 and "int8_t" or "T"))
    :gsub("\n$", "")))
end

function Writer:use_D(name)
  local full = name .. (self.D == "float" and "_f32" or "_f64")
  self.names[full] = true
  return full
end

function Writer:step(comment, call, before, after)
  self.widest = math.max(self.widest, before, after)
  if call then self.steps[#self.steps + 1] = { comment = comment, call = call } end
end

function text.writer(options, T, D)
  return setmetatable({
    lines = {}, names = {}, needed = {}, steps = {}, flash = 0, ram = 0, widest = 0, prefix = options.prefix,
    T = T, D = D, suffix = T == "float" and "_f32" or "_f64", int8 = options.number == "int8",
  }, Writer)
end

-- ---- what is read ----

function text.flat(x) return x:to("float64"):reshape(-1):totable() end

function text.numel(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

-- The tensors whose names begin with a prefix, without it.
function text.below(tensors, prefix)
  local found = {}
  for name, value in pairs(tensors) do
    if name:sub(1, #prefix) == prefix then found[name:sub(#prefix + 1)] = value end
  end
  return found
end

return text
