-- help, apropos and the question marks of the prompt and the notebook: of the module, and of the commands.
--   ?x  x?   what help says of x: of a command, of a value, else of the name
--   ??x      the source of a Lua function
-- new(session, commands, value_of) -> help, apropos, question, answer
return function(session, commands, value_of)
  local M = {}

  function M.help(...)
    local peri, name = require "perilune", ...
    local text = type(name) == "string" and commands.text(name)
    if text then return print(text) end
    peri.help(...)
    if select("#", ...) == 0 then print("Commands:\n" .. commands.text()) end
  end

  function M.apropos(word) print(require "perilune".interactive.apropos(word)) end

  -- What the module says of a name or of the value that it has here; nil where it says nothing.
  function M.text(name)
    local peri = require "perilune"
    local value = value_of(session, (name:gsub(":", ".")))
    local internal = debug.getregistry()["perilune.internal"]
    local _ = peri.help -- is then loaded
    local text = internal.help_text(value == nil and name or value)
    return not text:find "^there is no documentation" and not text:find "^Nothing is named" and text or nil
  end

  -- The text that was asked about and what of it, or nil: "x" and "help", or "x" and "source".
  function M.question(line)
    local text = line:match "^%s*%?%?%s*(.-)%s*$" or line:match "^%s*([%w_.:%[%]\"']+)%?%?%s*$"
    if text then return text, "source" end
    text = line:match "^%s*%?%s*(.-)%s*$" or line:match "^%s*([%w_.:%[%]\"']+)%?%s*$"
    if text then return text, "help" end
  end

  -- A name is looked up as a value first, so that ?x of a variable says what it is.
  function M.answer(text, kind)
    if text == "" then return M.help() end
    local command = text:sub(1, 1) == ":"
    local value = not command and value_of(session, (text:gsub(":", ".")))
    if kind == "source" then
      if value == nil then return print(("there is no value named %s"):format(text)) end
      if type(value) ~= "function" or debug.getinfo(value, "S").what == "C" then return M.help(value) end
      return print(require "perilune".interactive.source(value, session.sources))
    end
    local shape = type(value)
    if shape == "number" or shape == "string" or shape == "boolean" then
      return print(("%s is the %s %s"):format(text, shape, require "perilune".interactive.text({ value }):sub(2, -2)))
    end
    local info = shape == "function" and require "perilune".documentation(value) == nil and debug.getinfo(value, "Su")
    if info and info.what == "Lua" then
      local parameters = {}
      for i = 1, info.nparams do parameters[i] = debug.getlocal(value, i) end
      if info.isvararg then parameters[#parameters + 1] = "..." end
      return print(("%s(%s), a function of %s:%d (??%s shows it)"):format(text, table.concat(parameters, ", "),
        info.short_src, info.linedefined, text))
    end
    return M.help(value == nil and text or value)
  end

  return M
end
