-- What the parts written in Lua check of their arguments, and the one wording of what is wrong with them, which is that
-- of bindings/core:
--   operation: name must be WHAT, got VALUE      of another kind
--   operation: name must be one of a, b, got VALUE: did you mean a?
--   operation: name is VALUE (expected WHAT)     of that kind, but not allowed
--   operation: unknown option NAME (known: a, b): did you mean a?
--   operation: called with VALUE (expected m:operation(X))
local peri, internal = ...

local check = { describe = internal.describe }
local describe, look = check.describe, internal.look

function check.fail(message, ...) internal.raise(message:format(...)) end
local fail = check.fail

-- A library of Lua's as the state had it when the part was loaded; a host may have left it out.
function check.library(operation, library, name)
  if type(library) ~= "table" then fail("%s: this state has no library %s (expected a host that opens it)", operation,
    name) end
  return library
end

function check.shape(x) return x:dim() == 0 and "()" or table.concat(x.shape, "x") end

function check.sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  return keys
end

-- ---- what a value has ----

-- A field of anything, nil where there is none: objects of the module raise then.
function check.field(object, name)
  if type(object) ~= "table" and type(object) ~= "userdata" then return nil end
  local ok, value = pcall(function() return object[name] end)
  if not ok then return nil end
  return value
end

function check.has(object, name) return check.field(object, name) ~= nil end
function check.has_method(object, name) return type(check.field(object, name)) == "function" end

-- Layers can be called, and hide their metatables.
function check.is_callable(value)
  if type(value) == "function" or peri.type(value) == "layer" then return true end
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end

-- ---- kinds ----
-- What an argument or an option has to be: {expected = in words, read = function(value) -> what is kept of it, or nil}.
-- A narrower kind is also `of` the wider one, and `range` says in words what it leaves of it, or is a function of the
-- value that does. `words` is a list of those that it takes, one of which may have been meant.

function check.kind(expected, read, of, range) return { expected = expected, read = read, of = of, range = range } end

-- The same by a question.
function check.test(expected, test, of, range)
  return check.kind(expected, function(value) if test(value) then return value end end, of, range)
end

local kinds = {
  boolean = check.test("true or false", function(v) return type(v) == "boolean" end),
  number = check.test("a number", function(v) return math.type(v) ~= nil end),
  whole = check.kind("a whole number", function(v) return math.type(v) and math.tointeger(v) or nil end),
  string = check.test("a string", function(v) return type(v) == "string" end),
  table = check.test("a table", function(v) return type(v) == "table" end),
  callable = check.test("a function", check.is_callable),
}
kinds.finite = check.test("a finite number", function(v) return math.type(v) and v - v == 0 end, kinds.number)
kinds.positive = check.test("a number above 0", function(v) return kinds.finite.read(v) and v > 0 end, kinds.number)
kinds.from_zero = check.test("a number from 0", function(v) return kinds.finite.read(v) and v >= 0 end, kinds.number)
check.kinds = kinds

-- Whole numbers from low to high (nil: any). A bound that says "any size" is not named.
function check.whole_from(low, high)
  local expected = ("a whole number from %d"):format(low)
  local function range(v) return v < low and ("at least %d"):format(low) or ("at most %d"):format(high) end
  if high and high < 2 ^ 53 then
    expected, range = ("%s to %d"):format(expected, high), ("%d to %d"):format(low, high)
  end
  return check.kind(expected, function(v)
    local whole = kinds.whole.read(v)
    if whole and whole >= low and (not high or whole <= high) then return whole end
  end, kinds.whole, range)
end

-- The words of a string as a list.
local function words_of(words)
  local list = {}
  for word in words:gmatch "%S+" do list[#list + 1] = word end
  return list
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

-- One of the words of a string, or of the names in a list.
function check.one_of(words)
  local list = type(words) == "string" and words_of(words) or words
  local set = set_of(list)
  local kind = check.test("one of " .. table.concat(list, ", "), function(v) return type(v) == "string" and set[v] end)
  kind.words = list
  return kind
end

-- ---- arguments ----

-- The words, if any, are a list of those that may have been meant.
function check.must_be(operation, name, value, expected, words)
  local hint = words and internal.meant(value, words) or ""
  fail("%s: %s must be %s, got %s%s", operation, name, expected, describe(value), hint)
end

-- Raises what is wrong with a value that the kind did not read.
local function wrong(operation, name, value, kind)
  if kind.of and kind.of.read(value) ~= nil then
    local range = kind.range or kind.expected
    if type(range) == "function" then range = range(value) end
    fail("%s: %s is %s (expected %s)", operation, name, describe(value), range)
  end
  local widest = kind.of or kind
  check.must_be(operation, name, value, widest.expected, widest.words)
end

-- What is kept of a value, which must be of the kind.
function check.read(operation, name, value, kind)
  look()
  local kept = kind.read(value)
  if kept == nil then wrong(operation, name, value, kind) end
  return kept
end

-- The same where nil stands for a default.
function check.flag(operation, name, value, default)
  if value == nil then return default end
  return check.read(operation, name, value, kinds.boolean)
end

function check.whole(operation, name, value, low, high)
  return check.read(operation, name, value, check.whole_from(low, high))
end

function check.choice(operation, name, value, words) return check.read(operation, name, value, check.one_of(words)) end

-- ---- options ----

-- Whether a name is one of those that are known: words of a string, or keys of a table.
local function is_known(known, name)
  if type(known) == "table" then return rawget(known, name) ~= nil end
  for word in known:gmatch "%S+" do
    if word == name then return true end
  end
  return false
end

local function unknown(operation, given, name, known, note)
  if internal.is_contents(given) then
    fail("%s: options are what read_csv gives third (expected: local X, y = data.read_csv(..))", operation)
  end
  local list = type(known) == "string" and words_of(known) or check.sorted_keys(known)
  fail("%s: unknown option %s (known: %s%s)%s", operation, describe(name):sub(2, -2), table.concat(list, ", "),
    note or "", internal.meant(name, list))
end

-- A copy of the options, of which only those that are known (names between spaces, or the keys of a table) may be
-- there; and their names, ascending. A note goes to the end of what is known.
function check.only(operation, given, known, note)
  look()
  if given == nil then return {}, {} end
  check.read(operation, "options", given, kinds.table)
  local copy, names = {}, {}
  for name, value in next, given do
    if type(name) ~= "string" then
      fail("%s: options must have names, got the key %s", operation, describe(name))
    end
    copy[name], names[#names + 1] = value, name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    if not is_known(known, name) then unknown(operation, given, name, known, note) end
  end
  return copy, names
end

-- The one argument of a function, a table of options.
function check.table(operation, given)
  return check.read(operation, "options", given, kinds.table)
end

-- A copy of the options, each as its kind in known reads it, in the order of their names.
function check.options(operation, given, known, note)
  local copy, names = check.only(operation, given, known, note)
  for _, name in ipairs(names) do copy[name] = check.read(operation, name, copy[name], known[name]) end
  return copy
end

-- That one of two options is there, and not both.
function check.one_given(operation, options, first, second)
  local a, b = options[first] ~= nil, options[second] ~= nil
  if a and b then fail("%s: %s and %s are both given (expected one of them)", operation, first, second) end
  if not a and not b then fail("%s: neither %s nor %s is given (expected one of them)", operation, first, second) end
end

-- ---- methods ----

-- That a method was called on an object of its class, as `call` shows: "m:fit(X, y)".
function check.called(operation, on_its_own, object, call)
  look()
  if not on_its_own then fail("%s: called with %s (expected %s)", operation, describe(object), call) end
  return object
end

-- A method of an object whose fields a script may have changed: where they no longer are what f works with, the error
-- says so, and at the script's line.
function check.guard(name, f)
  local function finish(self, ok, ...)
    if ok then return ... end
    local message = ...
    local told = type(message) == "string" and message:gsub("^perilune/[^:]*:%d+: ", "") or "" -- ipairs has no position
    if told:find "^attempt to" or told:find "^bad argument" then
      fail("%s: fields of %s have been changed to what they cannot be", name, describe(self))
    end
    error(message, 0)
  end
  return function(self, ...) return finish(self, pcall(f, self, ...)) end
end

return check
