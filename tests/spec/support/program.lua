-- Runs the program of the build under test: out, err, status = run({argument, ...}, input, "NAME=value", ...).
local function quote(value) return "'" .. tostring(value):gsub("'", "'\\''") .. "'" end

local function read_all(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

return function(arguments, input, ...)
  local input_path, error_path = os.tmpname(), os.tmpname()
  local words = {"env", "-u", "LUA_INIT", "-u", "LUA_INIT_5_4"}
  for _, setting in ipairs {...} do words[#words + 1] = quote(setting) end
  words[#words + 1] = quote((os.getenv "PERILUNE_BUILD_DIR" or "build") .. "/perilune")
  for _, argument in ipairs(arguments) do words[#words + 1] = quote(argument) end
  local file = assert(io.open(input_path, "wb"))
  file:write(input or "")
  file:close()
  local command = ("%s <%s 2>%s"):format(table.concat(words, " "), input_path, error_path)
  local pipe = assert(io.popen(command, "r"))
  local out = pipe:read("a")
  local _, kind, status = pipe:close()
  local err = read_all(error_path)
  os.remove(input_path)
  os.remove(error_path)
  return out, err, kind == "signal" and 128 + status or status
end
