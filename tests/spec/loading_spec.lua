-- The module where it cannot work: in another Lua, and beside a copy of itself.
local directory = os.getenv "PERILUNE_BUILD_DIR" or "build"

local function output(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local out = pipe:read "a"
  pipe:close()
  return out
end

describe("the module #stock", function()
  it("says in another Lua which one it needs", function()
    local code = ("package.cpath = '%s/?.so' print(select(2, pcall(require, 'perilune')))"):format(directory)
    assert.equal("perilune needs Lua 5.4, this is Lua 5.1\n", output(('lua5.1 -e "%s"'):format(code)))
  end)

  it("does not stand beside a copy of itself, and names both", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute(("mkdir '%s' && cp -L '%s/perilune.so' '%s/perilune.so'"):format(folder, directory, folder)))
    local said = output(([[lua5.4 -e "package.cpath = '%s/?.so' require 'perilune' package.loaded.perilune = nil
      package.cpath = '%s/?.so' print(select(2, pcall(require, 'perilune')))"]]):format(directory, folder))
    os.execute(("rm -r '%s'"):format(folder))
    assert.matches("perilune: " .. folder:gsub("%p", "%%%0") .. "/perilune%.so is loaded into a Lua state that has a "
      .. "copy already, .*perilune%.so %(expected one of them%)", said)
  end)
end)
