-- What of peri.nn is written in Lua: initial values and containers by name.
local peri, internal, nn = ...
local check = internal.check

internal.load("nn.init", peri, internal, nn.init)

internal.load("nn.attention", peri, internal, nn)

internal.load("nn.summary", peri, internal, nn)

internal.load("nn.hooks", peri, internal, nn)

local ModuleDict = nn.Module.extend("ModuleDict", { replays = true })

function ModuleDict:init(modules)
  check.read("ModuleDict", "the modules", modules, check.kinds.table)
  for _, name in ipairs(check.sorted_keys(modules)) do
    if nn.type(modules[name]) == nil then
      check.fail("ModuleDict: %s is %s (expected a module)", name, check.describe(modules[name]))
    end
    self[name] = modules[name]
  end
end

internal.document("ModuleDict", [[
ModuleDict(modules) -> module
Modules by name, of a table, for a layer written in Lua to keep: dict.name, or dict[name]; another is added by assigning
it, nil takes one away, dict:has(name) asks for one, and for name, module in dict:named_children() do goes through them.
Their parameters belong to the whole, named in the order of the alphabet, then in that of assignment.]],
  function(...) return ModuleDict(...) end, nn)

return nn
