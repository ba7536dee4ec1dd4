-- What every file format of data.formats() has beside its reader and writer, so that it is called and fuzzed with the
-- others.
local peri = require "perilune"
local samples = require "support.samples"
local formats = require "support.formats"
local data = peri.data

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function files(folder)
  local pipe, names = assert(io.popen("ls " .. folder)), {}
  for name in pipe:lines() do names[#names + 1] = name end
  pipe:close()
  return names
end

describe("the file format", function()
  local path = os.tmpname()
  teardown(function() os.remove(path) end)

  for _, name in ipairs(data.formats()) do
    it(name .. " writes what the other specs give it, and reads tensors", function()
      local given, ending = formats[name]()
      local at = path .. (ending or "")
      assert.is_true(#samples.tensors(given) > 0)
      data["write_" .. name](at, table.unpack(given))
      assert.is_true(#samples.tensors { data["read_" .. name](at) } > 0)
      os.remove(at)
    end)

    it(name .. " has a fuzzer with a dictionary and files to begin with", function()
      assert.matches("LLVMFuzzerTestOneInput", read_file("tests/fuzz/fuzz_" .. name .. ".c"))
      assert.truthy(read_file("cmake/tests.cmake"):find("\nfuzz_test(" .. name .. " ", 1, true), name .. " is not run")
      assert.matches('"', read_file("tests/fuzz/" .. name .. ".dict"))
      assert.is_true(#files("tests/fuzz/corpus/" .. name) > 0, "tests/fuzz/corpus/" .. name .. " has no files")
    end)
  end

  it("is there of each entry that the other specs use", function()
    local known = {}
    for _, name in ipairs(data.formats()) do known[name] = true end
    for name in pairs(formats) do assert.is_true(known[name], name) end
  end)
end)
