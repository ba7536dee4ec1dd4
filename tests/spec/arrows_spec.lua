-- The rooms of the runtime and which way their arrows run: a room includes itself and those before it in this list.
-- docs/architecture.md draws the same.
local ROOMS = { "base", "kernels", "product", "tensor", "ops", "autograd", "nn", "optim", "plan", "model" }
-- beside that line, where the last room alone sees them: what machines and data sets see, and nothing else
local BESIDE = { svm = "base kernels product tensor data", data = "base kernels tensor" }
-- folders within a room see what lies beside the folders, themselves, and no other folder of it
local FOLDERS = { svm = "kernel linear", data = "formats sets" }
-- the one file that sees every room opens a context
local OPEN = "runtime/open.c"

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function allowed(room)
  local set = { [room] = true, perilune = true }
  if BESIDE[room] then
    for name in BESIDE[room]:gmatch "%a+" do set[name] = true end
    return set
  end
  for _, name in ipairs(ROOMS) do
    set[name] = true
    if name == room then break end
  end
  if room == "model" then
    for name in pairs(BESIDE) do set[name] = true end
  end
  return set
end

describe("the rooms of the runtime #once #slow", function()
  local files = lines_of "find runtime -name '*.[ch]' -o -name '*.def' | sort"

  it("include only what lies below them", function()
    local seen = {}
    for _, path in ipairs(files) do
      local room = path:match "^runtime/(%a+)/"
      if path ~= OPEN and room ~= "include" then
        local may = assert(allowed(room), path .. " is in no known room")
        seen[room] = true
        for line in io.lines(path) do
          local name = line:match '^%s*#%s*include%s+"([%w_./]+)"'
          local other = name and name:match "^(%a+)/"
          assert.is_true(not other or may[other] == true, path .. " includes " .. tostring(name))
          assert.is_nil(line:match '#%s*include%s+[<"]lua', path)
        end
      end
    end
    for _, room in ipairs(ROOMS) do assert.is_true(seen[room], room) end
  end)

  it("have folders that do not see each other, and are not seen by what lies beside them", function()
    for room, folders in pairs(FOLDERS) do
      local seen = {}
      for _, path in ipairs(files) do
        local folder = path:match("^runtime/" .. room .. "/(.*)/[^/]+$")
        local outside = path:match("^runtime/" .. room .. "/[^/]+$")
        if folder then seen[folder] = true end
        if folder or outside then
          for line in io.lines(path) do
            local other = line:match('^%s*#%s*include%s+"' .. room .. '/(.*)/[^/]+"')
            assert.is_true(not other or other == folder, path .. ": " .. line)
          end
        end
      end
      local list = {}
      for folder in pairs(seen) do list[#list + 1] = folder end
      table.sort(list)
      assert.equal(folders, table.concat(list, " "))
    end
  end)

  it("declare what they share in headers, so that includes show all arrows", function()
    for _, path in ipairs(files) do
      if path:match "%.c$" and path ~= OPEN then
        for line in io.lines(path) do assert.is_nil(line:match "^%s*extern%s", path .. ": " .. line) end
      end
    end
  end)
end)
