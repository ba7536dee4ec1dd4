-- docs/guide.md, run as a reader runs it: its Lua blocks are one script, and each prints what stands below it.
local process = require "support.internal".process

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- The blocks of a page in order: {language, text, line, output}, output being that of a text block right below.
local function blocks_of(page)
  local blocks, line, open, last = {}, 0, nil, nil
  for text in (page .. "\n"):gmatch "([^\n]*)\n" do
    line = line + 1
    if open and text == "```" then
      local body = table.concat(open, "\n") .. (#open > 0 and "\n" or "")
      if open.language == "text" then
        assert(last and last.stop == line - #open - 2, ("line %d: a text block below no block"):format(line))
        last.output = body
      else
        last = { language = open.language, text = body, line = line - #open, stop = line }
        blocks[#blocks + 1] = last
      end
      open = nil
    elseif open then
      open[#open + 1] = text
    else
      local language = text:match "^```(.*)$"
      if language then open = { language = language } end
    end
  end
  assert(not open, "a block is not closed")
  return blocks
end

local MARK = "\1\2\3 block "

describe("docs/guide.md #program", function()
  local folder, blocks

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(process.mkdir(folder))
    blocks = {}
    for _, block in ipairs(blocks_of(read "docs/guide.md")) do
      if block.language == "lua" then blocks[#blocks + 1] = block end
    end
  end)

  teardown(function() assert.equal(0, (process.run { argv = { "rm", "-r", folder } })) end)

  it("says what its blocks print", function()
    local parts = {}
    for i, block in ipairs(blocks) do parts[i] = ("print %q\n%s"):format(MARK .. i, block.text) end
    assert(process.write(folder .. "/guide.lua", table.concat(parts)))
    local build = os.getenv "PERILUNE_BUILD_DIR" or "build"
    local program = build:sub(1, 1) == "/" and build or os.getenv "PWD" .. "/" .. build
    local status, out, err = process.run {
      argv = { "env", "-C", folder, "-u", "LUA_INIT", "-u", "LUA_INIT_5_4", program .. "/perilune", "guide.lua" },
    }
    assert.equal("", err, out)
    assert.equal(0, status)
    local printed, i = {}, nil
    for line in out:gmatch "[^\n]*\n" do
      local number = line:match("^" .. MARK .. "(%d+)\n$")
      i = number and tonumber(number) or i
      printed[i] = number and "" or printed[i] .. line
    end
    assert.is_true(#blocks > 20)
    assert.equal(#blocks, #printed)
    -- A line's number in a message is that of the reader's file.
    local function anywhere(text) return (text:gsub("guide%.lua:%d+:", "guide.lua:N:")) end
    for k, block in ipairs(blocks) do
      assert.equal(anywhere(block.output or ""), anywhere(printed[k]), ("the block of line %d"):format(block.line))
    end
    for name, magic in pairs {
      ["loss.svg"] = "^<%?xml", ["svc.svg"] = "^<%?xml", ["svc.png"] = "^\137PNG",
      ["out/report/index.html"] = "^<!DOCTYPE html>.*<figcaption>Points</figcaption>",
    } do
      assert.matches(magic, read(folder .. "/" .. name))
    end
  end)

  it("and its neighbours link to what is there", function()
    local links = 0
    local pages = { "README.md", "docs/guide.md", "docs/architecture.md", "docs/numerics.md", "docs/embedding.md",
      "docs/security.md" }
    for _, path in ipairs(pages) do
      for target in read(path):gmatch "%]%(([^)#]+)[^)]*%)" do
        if not target:find "^%a+:" then
          links = links + 1
          local full = (path:match "^.*/" or "") .. target
          assert.is_truthy(io.open(full), path .. " links to " .. target)
        end
      end
    end
    assert.is_true(links > 4)
  end)
end)
