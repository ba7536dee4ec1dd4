-- Models as C: written, compiled with tests/export/main.c, run; and the digests that they should print.
local peri = require "perilune"

local exported = {}

-- Rows of numbers that follow from nothing but their place, as main.c makes them.
function exported.rows(n, d, dtype)
  local state, list = 1, {}
  for i = 1, n * d do
    state = state * 1664525 + 1013904223 & 0xffffffff
    list[i] = ((state >> 8) - (1 << 23)) / (1 << 21)
  end
  return peri.tensor(list, { dtype = dtype or "float32" }):reshape(n, d)
end

local function add(digest, word) return (digest ~ word) * 16777619 & 0xffffffff end

function exported.digest(x)
  local digest = 2166136261
  if x.dtype == "float32" then
    for _, value in ipairs(x:reshape(-1):totable()) do
      digest = add(digest, (string.unpack("<I4", string.pack("<f", value))))
    end
  elseif x.dtype == "float64" then
    for _, value in ipairs(x:reshape(-1):totable()) do
      local low, high = string.unpack("<I4I4", string.pack("<d", value))
      digest = add(add(digest, low), high)
    end
  else
    for _, value in ipairs(x:reshape(-1):totable()) do digest = add(digest, value & 0xffffffff) end
  end
  return ("%08x"):format(digest)
end

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "a"
  local ok = pipe:close()
  return ok and text or nil, text
end
exported.run = run

-- What the compiled model prints for so many rows: digests of scores and labels. runner stands before the program.
function exported.compiled(compiler, file, n, options)
  local program = file:gsub("%.c$", options.ending or ".out")
  local header = file:match "[^/]*$":gsub("%.c$", ".h")
  local words = "%s -Os -Wall -Wextra -Werror -std=c99 -I%s -DMODEL='\"%s\"' -DROWS=%d %s tests/export/main.c %s -o %s"
  local command = words:format(compiler, file:match "^(.*)/", header, n,
      options.labels and "-DLABELS" or "", file, program)
  local ok, text = run(command)
  if not ok then error(command .. "\n" .. text, 0) end
  local printed
  printed, text = run((options.runner or "") .. " " .. program)
  if not printed then error(program .. ": " .. text, 0) end
  return printed:match "(%x+) (%x+)"
end

return exported
