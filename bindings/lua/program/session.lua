-- What the prompt and a notebook have in common beyond the inputs themselves: commands, questions, and the names that
-- are there from the start. The argument is the host (repl.c, kernel.c): call, hint, error_object, load, columns.
--
--   new(name, show) -> session (evaluate.lua), with
--     session:take(text)    evaluates what was typed; false and what to say of it when that failed; and true as third
--                           value when more lines could complete it, and nothing was done
--     session:take_lines(text, said)   the same for each line of a text that is none as a whole
--     session:take_cell(text)          the same for a cell of a notebook
--     session.left          :quit was typed
--   show(...) is given the values
local host = ...
local new_session, commands = host.load "program.evaluate", host.load "program.commands"
local _, value_of = host.load "program.complete"
local new_help = host.load "program.help"

return function(name, show)
  local session, standard = new_session(name), {}
  session.commands, session.history, session.show = commands, function() return session.inputs end, show
  local help = new_help(session, commands, value_of)
  session.help = help

  -- After this, what is global is the session's.
  function session:open()
    _G.peri, _G.help, _G.apropos = require "perilune", help.help, help.apropos
    for key in next, _G do standard[key] = true end
    standard._, standard.__ = true, true
  end

  local prompt = { standard = standard }
  function prompt.leave() session.left = true end
  function prompt.inputs() return session.inputs end
  function prompt.history() return session.history() end
  function prompt.clear()
    session:forget()
    rawset(_G, "_", nil)
    rawset(_G, "__", nil)
  end
  function prompt.set(variable, value) return session:set(variable, value) end
  function prompt.variables()
    local values = {}
    for variable, entry in pairs(session.variables) do values[variable] = entry.holder() end
    return values
  end
  -- A command is known without its colon too.
  function prompt.help(word)
    if word == nil then return help.help() end
    help.help(commands.text(":" .. word) and ":" .. word or word)
  end
  function prompt.evaluate(text)
    print(text)
    session.again = text
  end

  local function run_command(row, argument)
    return session:run(function()
      local values = table.pack(row.run(argument, prompt))
      return table.unpack(values, 1, values.n)
    end, show)
  end

  local function silence() end
  local function self_compiles(text) return session:compile(text) ~= nil end

  -- Lua, perhaps for a command.
  -- shown: as it was typed, where that is another.
  local function run_code(text, row, shown)
    local chunk, silent, unfinished = session:read(text, shown)
    if not chunk then return false, silent, unfinished end
    if row then return run_command(row, chunk) end
    return session:run(chunk, silent and silence or show)
  end

  function session:take(text)
    local asked, kind = help.question(text)
    if asked then return session:run(function() help.answer(asked, kind) end, show) end
    local first, rest = text:match "^([^\n]*)(.*)$"
    local row, argument = commands.find(first)
    if not row and argument then return false, argument end
    if row and row.code then return run_code((argument or "") .. rest, row) end
    if not row then return run_code((text:gsub("^%s*=", "return ")), nil) end -- "=x" as lua takes it
    local ok, message = run_command(row, argument)
    local again
    again, session.again = session.again, nil
    if again then return session:take(again) end
    return ok, message
  end

  -- Several lines that are no chunk as a whole, one after the other as they would be typed; said(message) hears of
  -- errors. Gives false when they are one and nothing was done; else true and what is unfinished at their end, if any.
  function session:take_lines(text, said)
    local whole, _, incomplete = self:compile(text)
    if whole or incomplete then return false end
    local waiting, why
    for line in (text .. "\n"):gmatch "([^\n]*)\n" do
      waiting = waiting and waiting .. "\n" .. line or line
      local ok, message, unfinished = true, nil, false
      if waiting:find "%S" then ok, message, unfinished = self:take(waiting) end
      if not unfinished then waiting = nil end
      if not ok and not unfinished then said(message) end
      why = message
      if self.left then return true end
    end
    return true, waiting, why
  end

  -- The text with a return before its last expression, where it is statements and then one; else nil.
  local function with_return(text)
    local from = #text + 1
    while from > 1 do
      from = (text:sub(1, from - 2):match ".*\n()" or 1)
      local head, tail = text:sub(1, from - 1), text:sub(from)
      if tail:find "%S" and self_compiles("return " .. tail) then
        return self_compiles(head) and head .. "return " .. tail or nil
      end
      if from == 1 then return nil end
    end
  end

  -- A cell of a notebook: statements, and the values of an expression at their end; or commands and questions among
  -- lines, as at the prompt.
  function session:take_cell(text)
    local function take()
      local ok, message, unfinished = self:take(text)
      return ok, unfinished and self:wrong(message, text) or message
    end
    local asks = text:find "^%s*[:?]%a" or text:find "\n%s*[:?]%a" or text:find "%?%s*$"
    if self:compile(text) then return self:take(text) end
    local returning = with_return(text)
    if returning then return run_code(returning, nil, text) end
    local first = commands.find(text:match "^[^\n]*")
    local failed
    local function fails(message) failed = failed or message end
    if not asks or not text:find "\n" or first and first.code then return take() end
    local done, waiting, why = self:take_lines(text, fails)
    if not done then return take() end
    return not failed and not waiting, failed or waiting and self:wrong(why, waiting)
  end

  return session
end
