-- The parts of the module: one table (bindings/core/parts.c) names them, and help, the reference and Tab read it.
local peri = require "perilune"
local internal = require "support.internal"
local run = require "support.program"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- What help prints for the arguments.
local function helped(...)
  local lines, old = {}, print
  _G.print = function(text) lines[#lines + 1] = text end
  local ok, message = pcall(peri.help, ...)
  _G.print = old
  assert(ok, message)
  return table.concat(lines, "\n")
end

local function find(name)
  local value = peri
  for word in name:gmatch "[^.]+" do value = value[word] end
  return value
end

local function plain(text) return (text:gsub("%s+", " ")) end

describe("the parts of the module", function()
  it("are those of its files and rows, and no other name is one", function()
    local rows, files = {}, 0
    for _, part in ipairs(internal.parts) do
      assert.is_nil(rows[part.name], part.name)
      rows[part.name] = true
      assert.truthy(find(part.name), part.name)
      assert.equal(part.title == nil, type(find(part.name)) == "function", part.name)
    end
    local listing <close> = assert(io.popen "ls bindings/lua/*.lua")
    for path in listing:lines() do
      files = files + 1
      local name = path:match "([^/]+)%.lua$"
      assert.is_true(rows[name], name .. " has no row in bindings/core/parts.c")
    end
    assert.is_true(files > 8)
    assert.is_nil(peri["plot.input"])
    assert.is_nil(peri["optim.lr_scheduler"])
  end)

  it("have a title and an introduction, in help and in the reference, in one order", function()
    local reference, overview = read "docs/reference.md", helped()
    local before, shown = 0, 0
    for _, part in ipairs(internal.parts) do
      if part.title then
        local heading = ("\n## %s\n\n%s\n"):format(part.title, part.doc)
        local at, own = reference:find(heading, 1, true), helped(find(part.name))
        if at then -- linalg's functions are operations all
          assert.is_true(at > before, part.name)
          before, shown = at, shown + 1
        end
        assert.is_true(at ~= nil or part.name == "linalg", part.name)
        assert.truthy(overview:find(("\nperi.%s: %s\n"):format(part.name, part.title), 1, true), part.name)
        local callable = peri.documentation(find(part.name)) -- a function as well, with a documentation of its own
        if not callable then
          assert.equal(part.title .. ". " .. part.doc, plain(own):sub(1, #part.title + 2 + #part.doc), part.name)
        end
        for line in own:gmatch "[^\n]+" do assert.is_true(#line <= 80, line) end
      end
    end
    assert.is_true(shown > 10)
  end)

  it("make their classes known once, also when the module is opened again", function()
    local out, err, status = run({ "-" }, [[
      for i = 1, 2 do
        local peri = require "perilune"
        local _ = { peri.nn.Linear, peri.optim.SGD, peri.svm.SVC, peri.plot.figure }
        package.loaded.perilune = nil
      end
      local internal = debug.getregistry()["perilune.internal"]
      local seen = {}
      for _, class in ipairs(internal.class_list) do
        assert(not seen[class.name], class.name)
        seen[class.name] = true
      end
      print(seen["Tensor"], seen["nn.Module"], seen["plot.figure"], seen["svm.SVC"])
    ]])
    assert.same({ "true\ttrue\ttrue\ttrue\n", "", 0 }, { out, err, status })
  end)

  local OWN = { Tensor = true, generator = true, hook = true, plan = true } -- the module's own

  it("have their objects' classes, whose methods stand under a title in the reference and are found by help", function()
    local reference, found = read "docs/reference.md", 0
    for _, class in ipairs(internal.class_list) do
      local part = class.name:match "^(.*)%.[^.]+$" or class.name
      local at = reference:find("\n## " .. (class.title or "no title") .. "\n", 1, true)
      assert.is_true(at ~= nil, class.name)
      assert.is_true(OWN[class.name] or find(part) ~= nil, class.name)
      for name, method in pairs(class.methods) do
        local doc = type(name) == "string" and peri.documentation(method)
        if doc and class.name ~= "Tensor" then
          local first = doc:match "^[^\n]*"
          assert.is_true(reference:find("### `" .. first .. "`", at, true) ~= nil, class.name .. ": " .. first)
          assert.truthy(plain(helped("x:" .. name)):find(plain(first), 1, true), class.name .. ": " .. first)
          found = found + 1
        end
      end
    end
    assert.is_true(found > 60)
  end)

  -- In a program of its own: nothing undoes it.
  it("are one row to add, a part with a class of its own", function()
    local path = os.tmpname()
    local out, err, status = run({ "-", path }, [[
      local peri = require "perilune"
      local internal = debug.getregistry()["perilune.internal"]
      local at = 1
      while internal.parts[at].name ~= "optim" do at = at + 1 end
      table.insert(internal.parts, at, { name = "orbit", title = "Orbits", doc = "Ways around a body." })
      peri.orbit = {}
      internal.document("period", "orbit.period(a) -> number\nThe time of one turn.", function() end, peri.orbit)
      local Ellipse = {}
      internal.document("turn", "ellipse:turn(angle)\nTurns it.", function() end, Ellipse)
      internal.set_class("orbit.ellipse", "Methods of ellipses", Ellipse)
      for _, asked in ipairs { "period", "orbit.period", "ellipse:turn", "orbit:turn", "perioed" } do
        print("help " .. asked)
        peri.help(asked)
      end
      print "all of it"
      peri.help()
      peri.reference(arg[1])
      local complete = assert(loadfile "bindings/lua/program/complete.lua")()
      _G.peri = peri
      print("tab", complete({ variables = {} }, "peri.orb", 80))
      print("tab", complete({ variables = {} }, "peri.orbit.per", 80))
      print(select(2, complete({ variables = {} }, "peri.", 80)):find "%f[%w]orbit%f[%W]" ~= nil)
    ]])
    assert.same({ "", 0 }, { err, status })
    local function says(text) assert.truthy(out:find(text, 1, true), text .. " in " .. out) end
    local period, turn = "orbit.period(a) -> number\nThe time of one turn.\n", "ellipse:turn(angle)\nTurns it.\n"
    says("help period\n" .. period)
    says("help orbit.period\n" .. period)
    says("help ellipse:turn\n" .. turn)
    says("help orbit:turn\n" .. turn)
    says("there is no documentation of perioed: did you mean period?")
    says("\nperi.orbit: Orbits\n  period\n")
    says("tab\tit\t")
    says("tab\tiod\t")
    assert.matches("\ntrue\n$", out)
    local text = read(path)
    os.remove(path)
    local section = "\n## Orbits\n\nWays around a body.\n\n### `orbit.period(a) -> number`\n\nThe time of one turn." ..
      "\n\n## Methods of ellipses\n\n### `ellipse:turn(angle)`\n\nTurns it.\n\n## Optimisers\n"
    assert.truthy(text:find(section, 1, true), "the section stands before that of the next row")
  end)
end)
