-- The program beside Debian's lua5.4: the same command line, environment and input give the same output, the same
-- errors but for the program's name, and the same exit status.
local BUILD = os.getenv "PERILUNE_BUILD_DIR" or "build"
local LUA = "/usr/bin/lua5.4"

local folder

local function write(name, text)
  local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- Each line is a command line for the shell, where LUA stands for the program.
local function run(program, line)
  local command = "cd %s && env -u LUA_INIT -u LUA_INIT_5_4 -u LUA_PATH -u LUA_CPATH sh -c '%s' >out 2>err"
  local words = line:gsub("LUA ", program .. " "):gsub("'", "'\\''")
  local _, kind, status = os.execute(command:format(folder, words))
  local name = program:match "[^/]+$"
  local function plain(text)
    return (text:gsub(program:gsub("%p", "%%%0"), "NAME"):gsub("%f[%w]" .. name:gsub("%p", "%%%0") .. ":", "NAME:"))
  end
  return { out = plain(read(folder .. "/out")), err = plain(read(folder .. "/err")), kind = kind, status = status }
end

local FILES = {
  ["args.lua"] = [[
print(#arg, arg[0], ...) for i = -5, 5 do io.write(tostring(arg[i] and i), ' ') end print(arg[1], arg[2])
]],
  ["fails.lua"] = "local function f() error 'boo' end\nf()\n",
  ["wrong.lua"] = "x = = 1\n",
  ["exit.lua"] = [[
local how, kind = ...
local values = { ["3"] = 3, ["true"] = true, ["false"] = false, ["nil"] = nil, ["256"] = 256 }
local close <close> = setmetatable({}, { __close = function() print "closed" end })
local gc = setmetatable({}, { __gc = function() print "collected" end })
local function leave() os.exit(values[how], kind == "close") end
if kind == "pcall" then pcall(leave) elseif kind == "coroutine" then coroutine.wrap(leave)()
elseif kind == "gc" then setmetatable({}, { __gc = leave }) collectgarbage() else leave() end
]],
  ["close.lua"] = [[
local close <close> = setmetatable({}, { __close = function(_, e) print("closed", e) end })
kept = setmetatable({}, { __gc = function() print "collected" end })
error("boo", 0)
]],
  ["shebang.lua"] = "#!/usr/bin/env lua\nprint 'there'\nprint(debug.getinfo(1).currentline)\n",
  ["mod.lua"] = "print('loading', ...) return { name = 'mod' }",
  ["init.lua"] = "started = 'by a file'",
  ["read.lua"] = "print(io.read 'n', io.read 'l', io.read 'L', io.read(0), io.read 'a', io.read 'l')",
  ["kinds.lua"] = "error(setmetatable({}, { __tostring = function() return 'of its own' end }))",
  ["object.lua"] = "error(setmetatable({}, { __name = 'kind' }))",
}

local LINES = [=[
LUA -e "print(1)" -e "print(2)"
LUA -e"print 'near'"
LUA -e "local x <const> = 1; x = 2"
LUA -e "x ="
LUA -e "error 'boo'"
LUA -e "error()"
LUA -e "error(nil)"
LUA -e "error(12)"
LUA kinds.lua
LUA -e "local t = nil; print(t.x)"
LUA -e "local function f() return f() + 1 end f()" 2>/dev/null
LUA args.lua
LUA args.lua a "b c" -e
LUA -e "" args.lua a
LUA -W -- args.lua -x
LUA -- args.lua --
echo "print(#arg, arg[0], arg[1], ...)" | LUA - a b
echo "print(#arg, arg[0], ...)" | LUA
echo "return 1, 2" | LUA -
echo "x = = 1" | LUA -
LUA none.lua
LUA fails.lua
LUA wrong.lua
LUA .
LUA exit.lua 3
LUA exit.lua true
LUA exit.lua false
LUA exit.lua nil
LUA exit.lua 256
LUA exit.lua 3 close
LUA exit.lua true close
LUA exit.lua false close
LUA exit.lua 3 pcall
LUA exit.lua 3 coroutine
LUA exit.lua 3 gc
LUA close.lua 2>/dev/null
LUA shebang.lua
LUA -l mod -e "print(mod.name)"
LUA -lmod -e "print(mod.name)"
LUA -l g=mod -e "print(g.name, mod)"
LUA -l none 2>/dev/null
LUA -e "print(pcall(require, \"none\"))"
LUA -W -e "warn 'hear'"
LUA -e "warn 'hear'"
LUA -e "warn '@on' warn('a', 'b')"
LUA -W -e "warn '@off' warn 'no'"
LUA_INIT="print 'first'" LUA -e "print 'then'"
LUA_INIT="@init.lua" LUA -e "print(started)"
LUA_INIT="@none.lua" LUA -e "print 'then'"
LUA_INIT="error 'boo'" LUA -e "print 'then'"
LUA_INIT="print 'old'" LUA_INIT_5_4="print 'new'" LUA -e "print 'then'"
LUA_INIT="print 'first'" LUA -E -e "print 'then'"
LUA_PATH="./?.lua;;" LUA -e "print(package.path)"
LUA_PATH_5_4="x;;" LUA_PATH="y" LUA -e "print(package.path)"
LUA_PATH="./?.lua" LUA -E -e "print(package.path)"
LUA_CPATH="z/?.so;;" LUA -e "print(package.cpath)"
LUA -e "print(package.path, package.cpath, package.config)"
printf "12 rest\nline\nall\nof it" | LUA read.lua
printf "" | LUA read.lua
LUA -e "io.stdout:write 'no newline'"
LUA -e "io.stderr:write 'err'"
LUA -e "print(_VERSION, math.maxinteger, 1e15, 2^53, -0.0, 1/0, 0/0 ~= 0/0)"
LUA -e "print(('%q'):format('a\n\0b'), ('%5.2f|%-5d|%x'):format(1.005, 3, 255))"
LUA -e "print(select('#', table.unpack({}, 1, 3)), #'größe', utf8.len 'größe')"
LUA -e "local ok, e = pcall(string.rep, 'x', -1) print(ok, e)"
LUA -e "print(collectgarbage 'count' > 0, collectgarbage 'incremental', collectgarbage 'generational')"
LUA -e "for k in pairs(_G) do t = t or {} t[#t + 1] = k end table.sort(t) print(table.concat(t, ' '))"
LUA -e "for k in pairs(package.loaded) do t = t or {} t[#t + 1] = k end table.sort(t) print(table.concat(t, ' '))"
LUA -e "coroutine.wrap(function() error 'within' end)()"
LUA -e "print(string.dump(load 'return 1') == string.dump(load 'return 1'))"
LUA -e "print(load(string.dump(load 'return 7'))())"
LUA -e "goto done do local x end ::done:: print 'on'"
LUA -e "print(os.getenv 'NONE', os.tmpname() ~= nil, type(os.time()), type(os.clock()))"
LUA -e "os.exit(5)" -e "print 'never'"
LUA -e "print(debug.traceback 'x')"
LUA -e "print(debug.getinfo(1, 'S').source, debug.getinfo(1, 'S').what)"
]=]

describe("the program beside lua #program", function()
  if not io.open(LUA) then
    it("is compared", function() pending "lua5.4 is not installed" end)
    return
  end

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    for name, text in pairs(FILES) do write(name, text) end
  end)

  teardown(function() os.execute("rm -r " .. folder) end)

  local program = BUILD:sub(1, 1) == "/" and BUILD .. "/perilune" or nil
  if not program then
    local pipe <close> = assert(io.popen "pwd")
    program = pipe:read "l" .. "/" .. BUILD .. "/perilune"
  end

  for line in LINES:gmatch "[^\n]+" do
    it("does as lua does: " .. line, function() assert.same(run(LUA, line), run(program, line)) end)
  end

  -- bash asks the function that a program's completion is.
  local function completed(words)
    local pipe <close> = assert(io.popen(([[cd %s && bash -c '
source "$0"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_perilune
printf "%%s\\n" "${COMPREPLY[@]}" | sort | tr "\\n" " "
' "$OLDPWD/cmake/perilune.bash" perilune %s]]):format(folder, words)))
    return (pipe:read "a":gsub("%s+$", ""))
  end

  it("is completed by bash", function()
    assert.equal("args.lua", completed "args")
    assert.equal("kernel", completed "ker")
    assert.equal("--help --threads --version --", (completed "--":gsub("^%-%- (.*)$", "%1 --")))
    assert.equal("mod", completed "-l mo")
    assert.equal("--once", completed "watch --o")
    assert.equal("install", completed "kernel ins")
    assert.equal("mod.lua", completed "notebook mod")
    assert.equal("init.lua", completed "args.lua ini")
    assert.equal("", completed "-e x")
  end)

  it("refuses options that lua refuses", function()
    for _, line in ipairs { "LUA -x", "LUA -e", "LUA -l", "LUA -vv", "LUA --nope", "LUA -i -x" } do
      local theirs, ours = run(LUA, line), run(program, line)
      assert.same({ theirs.kind, theirs.status, theirs.out }, { ours.kind, ours.status, ours.out }, line)
      assert.matches("\nusage: ", ours.err, line)
    end
  end)
end)
