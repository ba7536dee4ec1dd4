-- The kernel of a notebook: answers the requests of Jupyter's messaging protocol (5.3). Sockets, streams, heartbeat and
-- control are C (bindings/kernel); what is evaluated is a session's (session.lua), as at the prompt.
local host = ...
local new_session, bundle_of = host.load "program.session", host.load "program.rich"
local _, _, candidates = host.load "program.complete"

local kernel, session -- C's functions; the session
local count = 0       -- executions
local history = {}    -- {{1, n, input}, ..}

-- ---- what is shown ----

local shown -- the values of the cell's last expression

local function keep(...) shown = table.pack(...) end

-- What stands for several values.
local function bundle_of_all(values)
  if values.n == 1 then return bundle_of(values[1]) end
  local texts, between = {}, "\t"
  for i = 1, values.n do
    texts[i] = bundle_of(values[i])["text/plain"]
    if texts[i]:find "\n" then between = "\n" end
  end
  return { ["text/plain"] = table.concat(texts, between) }
end

-- internal.notebook: what peri.interactive.display, figure:show() and the progress of a training call.
local notebook = {}

function notebook.display(value, id, update)
  kernel.publish(update and "update_display_data" or "display_data",
    { data = bundle_of(value), metadata = {}, transient = { display_id = id } })
end

function notebook.clear(wait) kernel.publish("clear_output", { wait = wait }) end

-- ---- requests ----

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  return lines
end

-- An error as the protocol has it. The text begins with the message.
local function failure(text)
  local plain = text:gsub("\27%[[%d;]*m", "")
  local name = plain:find "^interrupted!" and "Interrupted" or plain:find "^not enough memory" and "Memory" or "Error"
  return { status = "error", ename = name, evalue = plain:match "^[^\n]*", traceback = kernel.list(lines_of(text)) }
end

local function publish_result()
  if not shown or shown.n == 0 then return end
  local made, bundle = host.call(bundle_of_all, session.explain, shown)
  if not made then return bundle end
  kernel.publish("execute_result", { execution_count = count, data = bundle, metadata = {} })
end

local function expressions_of(wanted)
  local values = {}
  for name, code in pairs(type(wanted) == "table" and wanted or {}) do
    local chunk, message = session:compile(tostring(code), "=" .. name)
    local result = chunk and table.pack(host.call(chunk, session.explain)) or { false, message }
    if result[1] then
      values[name] = { status = "ok", data = bundle_of(result[2]), metadata = {} }
    else
      values[name] = failure(tostring(result[2]))
    end
  end
  return values
end

local answers = {}

-- What waits behind a cell that has failed.
local function all_waiting()
  local list = {}
  while true do
    local entry = table.pack(kernel.next(false))
    if not entry[1] then return list end
    list[#list + 1] = entry
  end
end

-- Of that, cells are not run.
local function abort(waiting, handle)
  for _, entry in ipairs(waiting) do
    local request, type, content = table.unpack(entry, 1, 3)
    if type == "execute_request" then
      kernel.current(request, false)
      kernel.publish("status", { execution_state = "busy" })
      kernel.reply("execute_reply", { status = "aborted" })
      kernel.publish("status", { execution_state = "idle" })
    else
      handle(request, type, content)
    end
  end
end

function answers.execute_request(content)
  local code = tostring(content.code or "")
  local silent = content.silent == true
  local stores = not silent and content.store_history ~= false
  if stores then
    count = count + 1
    history[count] = { 1, count, code }
  end
  if not silent then kernel.publish("execute_input", { code = code, execution_count = count }) end
  local ok, message = true, nil
  shown = nil
  if code:find "%S" then ok, message = session:take_cell(code) end
  if ok and not silent then
    message = publish_result()
    ok = message == nil
  end
  shown = nil
  local reply
  if ok then
    reply = { status = "ok", user_expressions = expressions_of(content.user_expressions), payload = kernel.list {} }
  else
    reply = failure(tostring(message))
    kernel.publish("error", { ename = reply.ename, evalue = reply.evalue, traceback = reply.traceback })
  end
  reply.execution_count = count
  local waiting = not ok and content.stop_on_error ~= false and all_waiting() or {} -- before anybody knows of it
  kernel.reply("execute_reply", reply)
  return waiting
end

-- The byte before the character at a position that counts characters from 0.
local function byte_at(code, position)
  return (utf8.offset(code, (tonumber(position) or utf8.len(code) or #code) + 1) or #code + 1) - 1
end

function answers.complete_request(content)
  local code = tostring(content.code or "")
  local before = code:sub(1, byte_at(code, content.cursor_pos))
  local ok, list, part = pcall(candidates, session, before)
  if not ok then list, part = {}, "" end
  local last = utf8.len(before) or #before
  kernel.reply("complete_reply", { status = "ok", matches = kernel.list(list), cursor_end = last,
    cursor_start = last - (utf8.len(part) or #part), metadata = {} })
end

-- What help says of the name at the cursor, or of the function whose call is open there.
local function explained(code, position)
  local at = byte_at(code, position)
  local before, after = code:sub(1, at), code:sub(at + 1)
  local name = (before:match "[%a_][%w_.:]*$" or "") .. (after:match "^[%w_]*" or "")
  if name == "" then name = before:match "([%a_][%w_.:]*)%s*[%({][^%({]*$" or "" end
  if name == "" then return nil end
  return session.help.text(name)
end

function answers.inspect_request(content)
  local ok, text = pcall(explained, tostring(content.code or ""), content.cursor_pos)
  text = ok and text or nil
  kernel.reply("inspect_reply", { status = "ok", found = text ~= nil, metadata = {},
    data = text and { ["text/plain"] = text } or {} })
end

function answers.is_complete_request(content)
  local code = tostring(content.code or "")
  local command = code:match "^%s*[:?]" or code:match "%?%s*$"
  local chunk, _, unfinished = session:compile(code)
  local status = (command or chunk) and "complete" or unfinished and "incomplete" or "invalid"
  kernel.reply("is_complete_reply", { status = status, indent = status == "incomplete" and "  " or nil })
end

-- A pattern of the shell's: * is anything, ? one character.
local function matches(pattern, text)
  local lua = pattern:gsub("%p", "%%%0"):gsub("%%%*", ".*"):gsub("%%%?", ".")
  return text:find("^" .. lua .. "$") ~= nil
end

function answers.history_request(content)
  local list = {}
  local from, to = 1, #history
  if content.hist_access_type == "range" then
    from, to = math.max(1, content.start or 1), math.min(#history, (content.stop or #history + 1) - 1)
  end
  for i = from, to do
    if content.hist_access_type ~= "search" or matches(content.pattern or "*", history[i][3]) then
      list[#list + 1] = history[i]
    end
  end
  local most = content.hist_access_type ~= "range" and content.n
  if most and #list > most then list = table.move(list, #list - most + 1, #list, 1, {}) end
  for i, entry in ipairs(list) do
    list[i] = content.output and { entry[1], entry[2], kernel.list { entry[3], "" } } or entry
  end
  kernel.reply("history_reply", { status = "ok", history = kernel.list(list) })
end

local function information()
  local peri = require "perilune"
  return {
    status = "ok", protocol_version = "5.3", implementation = "perilune", implementation_version = peri.version,
    language_info = { name = "lua", version = _VERSION:match "%d.*", mimetype = "text/x-lua", file_extension = ".lua",
                      pygments_lexer = "lua", codemirror_mode = "lua" },
    banner = ("Perilune %s, %s"):format(peri.version, _VERSION), help_links = kernel.list {}, debugger = false,
  }
end

function answers.kernel_info_request() kernel.reply("kernel_info_reply", information()) end
function answers.comm_info_request() kernel.reply("comm_info_reply", { status = "ok", comms = {} }) end
function answers.comm_open(content) kernel.publish("comm_close", { comm_id = content.comm_id, data = {} }) end
function answers.comm_msg() end
function answers.comm_close() end

function answers.shutdown_request(content)
  kernel.reply("shutdown_reply", { status = "ok", restart = content.restart == true })
  session.left = true
end

function answers.interrupt_request() kernel.reply("interrupt_reply", { status = "ok" }) end

local function handle(request, type, content)
  host.interrupted() -- what was pressed while nothing was computed is past
  kernel.current(request, content.allow_stdin == true)
  kernel.publish("status", { execution_state = "busy" })
  local answer, waiting = answers[type], nil
  if answer then
    waiting = answer(content)
  elseif type:find "_request$" then
    kernel.reply(type:gsub("_request$", "_reply"), { status = "error", ename = "NotImplemented",
      evalue = "the kernel has no request " .. type, traceback = kernel.list {} })
  end
  kernel.publish("status", { execution_state = "idle" })
  if waiting then abort(waiting, handle) end
end

-- perilune kernel FILE: gives what is wrong when it cannot begin, else ends the program.
return function(connection_file)
  local message
  kernel, message = host.kernel()
  if not kernel then return message end
  host.colours, host.columns = true, function() return 100 end
  session = new_session(function() return ("[%d]"):format(count) end, keep)
  session.history = function()
    local list = {}
    for i, entry in ipairs(history) do list[i] = entry[3] end
    return list
  end
  local opened, problem = pcall(kernel.open, connection_file)
  if not opened then return problem end
  session:open()
  local internal = debug.getregistry()["perilune.internal"]
  internal.notebook = notebook
  _G.arg = { [0] = "notebook.lua" } -- of the program it is the kernel's
  _G.display = require "perilune".interactive.display
  kernel.info(information())
  kernel.current(nil, false)
  kernel.publish("status", { execution_state = "starting" })
  while not session.left and not kernel.leaves() do
    local request, type, content = kernel.next(true)
    if request then handle(request, type, content) end
  end
  host.call(session.close, session.explain, session, function(text) io.stderr:write(text, "\n") end)
  kernel.current(nil, false)
  os.exit(true, true)
end
