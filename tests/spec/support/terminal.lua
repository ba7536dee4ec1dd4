-- Types at the program of the build under test, on a terminal of its own (terminal.py):
--   written, err, status = terminal({ {"wait", "> "}, {"type", "1 + 1\r"}, ... }, { NAME = "value" })
-- home is a folder for its history. written is all that the terminal got, escape sequences taken out unless raw.
local json = require "support.internal".json

local function quote(value) return "'" .. tostring(value):gsub("'", "'\\''") .. "'" end

local function read_all(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function plain(text)
  return (text:gsub("\27%[[0-9;?]*[@-~]", ""):gsub("\27[_P%]].-\27\\", ""):gsub("\27[=>]", ""):gsub("\r", ""))
end

return function(steps, environment, raw)
  local input, errors, lines = os.tmpname(), os.tmpname(), {}
  for i, step in ipairs(steps) do lines[i] = json.write("terminal", step) .. "\n" end
  local file = assert(io.open(input, "wb"))
  file:write(table.concat(lines))
  file:close()
  local words = { "env", "-u", "NO_COLOR", "-u", "LUA_INIT", "TERM=xterm-256color", "LC_ALL=C.UTF-8" }
  for name, value in pairs(environment) do words[#words + 1] = name .. "=" .. quote(value) end
  for _, word in ipairs { "/usr/bin/python3", "tests/spec/support/terminal.py",
                          (os.getenv "PERILUNE_BUILD_DIR" or "build") .. "/perilune" } do
    words[#words + 1] = quote(word)
  end
  local pipe = assert(io.popen(("%s <%s 2>%s"):format(table.concat(words, " "), input, errors)))
  local written = pipe:read "a"
  local _, _, status = pipe:close()
  local err = read_all(errors)
  os.remove(input)
  os.remove(errors)
  return raw and written or plain(written), err, status
end
