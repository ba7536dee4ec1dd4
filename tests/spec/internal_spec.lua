-- What scripts cannot reach: the functions that the module's own Lua files are given.
local peri = require "perilune"
local internal = require "support.internal"

-- All that a script without the debug library finds from the values: fields, keys and metatables.
local function reachable(...)
  local seen, waiting = {}, {...}
  while #waiting > 0 do
    local value = table.remove(waiting)
    if value ~= nil and not seen[value] then
      seen[value] = true
      waiting[#waiting + 1] = getmetatable(value)
      for key, field in next, type(value) == "table" and value or {} do
        waiting[#waiting + 1] = key
        waiting[#waiting + 1] = field
      end
    end
  end
  return seen
end

describe("the internal table", function()
  local parts = {}
  for _, part in ipairs(internal.parts) do parts[#parts + 1] = not part.name:find("%.") and part.name or nil end

  it("is not reached from the module, its parts and their objects", function()
    local loaded = {}
    for i, name in ipairs(parts) do loaded[i] = peri[name] end
    local _ = peri.select.grid_search -- filled at the first look
    local figure = peri.plot.figure {}:line {1, 2}
    local seen = reachable(peri, loaded, figure, peri.plot.page {figure}, peri.ones(2))
    assert.is_true(seen[peri.plot.figure] and seen[peri.select.grid_search])
    assert.is_nil(seen[internal])
    local functions = 0
    local hidden = {internal, internal.process, internal.data, internal.kernels}
    for _, calls in pairs(internal.machines) do
      hidden[#hidden + 1] = {calls.restore, calls.path, calls.cross_predict}
    end
    for _, t in ipairs(hidden) do
      for name, f in pairs(t) do
        functions = functions + 1
        if name ~= "kernel_matrix" and name ~= "save_libsvm" and name ~= "load_libsvm" and name ~= "classes" then
          assert.is_nil(seen[f], name) -- those are given to scripts as they are
        end
      end
    end
    assert.is_true(functions > 40)
  end)

  it("holds all that begins with an underscore, but for the hooks of tests", function()
    local loaded = {}
    for i, name in ipairs(parts) do loaded[i] = peri[name] end
    local _ = peri.select.grid_search
    for value in pairs(reachable(peri, loaded)) do
      for key in next, type(value) == "table" and value or {} do
        local hidden = type(key) == "string" and key:match "^_[^_]"
        assert.is_true(not hidden or key == "_fail_after" or key == "_looks", tostring(key))
      end
    end
  end)

  it("is given to parts alone, with the module's own table", function()
    for _, piece in ipairs {
      "plot.script", "train.progress", "report.page", "internal.json", "_process", "process", "",
    } do
      assert.is_nil(peri[piece], piece)
    end
    local index = getmetatable(peri).__index
    local other = {_raise = error, _document = error}
    assert.is_true(rawequal(peri.plot, index(other, "plot")))
    assert.is_nil(rawget(other, "plot"))
  end)
end)
