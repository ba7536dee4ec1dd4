-- perilune export MODEL --c FILE.c [--prefix NAME] [--float | --int8]
local USAGE = [[
usage: perilune export MODEL --c FILE.c [--prefix NAME] [--float | --int8]
Writes a model of peri.save_model as one C99 file and its header.
  --c FILE.c     the file; the header is FILE.h
  --prefix NAME  what the names of its functions begin with (model)
  --float        all numbers in float
  --int8         weights of a network as 8-bit numbers
]]

local function leave(message)
  io.stderr:write("perilune export: ", message, "\n", USAGE)
  return false
end

return function(arguments)
  local options, path, file = {}, nil, nil
  local i = 1
  while i <= #arguments do
    local word = arguments[i]
    if word == "--help" then
      io.stdout:write(USAGE)
      return true
    elseif word == "--c" or word == "--prefix" then
      i = i + 1
      if not arguments[i] then return leave(("an argument is needed after '%s'"):format(word)) end
      if word == "--c" then file = arguments[i] else options.prefix = arguments[i] end
    elseif word == "--float" or word == "--int8" then
      if options.number then return leave "--float and --int8 are both given" end
      options.number = word:sub(3)
    elseif word:sub(1, 1) == "-" or path then
      return leave(("unrecognized argument '%s'"):format(word))
    else
      path = word
    end
    i = i + 1
  end
  if not path then return leave "MODEL is missing" end
  if not file then return leave "--c FILE.c is missing" end
  local peri = require "perilune"
  local ok, result = pcall(function() return peri.model.export_c(file, peri.load_model(path), options) end)
  if not ok then
    io.stderr:write("perilune export: ", tostring(result):gsub("^[^:]*:%d+: ", ""), "\n")
    return false
  end
  io.stdout:write(("%s: %d bytes of numbers in flash, %d bytes of RAM\n"):format(file, result.flash, result.ram))
  return true
end
