-- Programs that are run, and the folders that their results need: what peri.plot and its like call.
local process = require "support.internal".process
local message_of = require("support.fails").message
local pictures = require "support.pictures"
local has = pictures.has

describe("process", function()
  it("moves bytes both ways without waiting for ever", function()
    local big = ("0123456789abcde\n"):rep(200000)
    local status, stdout, stderr = process.run{argv = {"sh", "-c", "tee /dev/stderr"}, input = big}
    assert.are.equal(0, status)
    assert.is_true(stdout == big and stderr == big)
  end)

  it("gives exit statuses and signals", function()
    assert.are.equal(3, (process.run{argv = {"sh", "-c", "exit 3"}}))
    assert.are.equal(128 + 9, (process.run{argv = {"sh", "-c", "kill -9 $$"}}))
  end)

  it("survives a program that does not read", function()
    assert.are.equal(0, (process.run{argv = {"true"}, input = ("x"):rep(1000000)}))
  end)

  it("uses no shell", function()
    local _, stdout = process.run{argv = {"echo", "$HOME; `id`"}}
    assert.are.equal("$HOME; `id`\n", stdout)
  end)

  it("says what cannot be started", function()
    local status, message, missing = process.run{argv = {"no-such-program-here"}}
    assert.is_nil(status)
    has(message, "cannot be started: ")
    assert.is_true(missing)
    has(message_of(process.run, {argv = {}}), "argv has 0 strings")
    has(message_of(process.run, {argv = {"a\0b"}}), "cut by a NUL")
    has(message_of(process.run, {}), "argv is missing")
  end)

  it("gives a child no other descriptor", function()
    local open <close> = assert(io.open("/dev/null"))
    local _, stdout = process.run{argv = {"ls", "/proc/self/fd"}}
    assert.are.equal("0\n1\n2\n3\n", stdout) -- 3 is the folder that ls reads
    assert.is_truthy(open)
  end)

  it("makes a new folder once, and says when it cannot", function()
    local path = os.tmpname()
    os.remove(path)
    assert.is_true(process.new_folder(path))
    assert.is_false(process.new_folder(path))
    os.remove(path)
    local none, message = process.new_folder("/nonexistent/a")
    assert.is_nil(none)
    assert.are.equal("cannot make the folder '/nonexistent/a': No such file or directory", message)
  end)

  it("knows that a file is no terminal", function()
    local program = (os.getenv "PERILUNE_BUILD_DIR" or "build") .. "/perilune"
    local code = "require 'perilune' print(debug.getregistry()['perilune.internal'].process.is_terminal(0))"
    local _, stdout = process.run{argv = {program, "-e", code}}
    assert.are.equal("false\n", stdout)
    _, stdout = process.run{argv = {"script", "-qec", program .. ' -e "' .. code .. '"', "/dev/null"}}
    assert.are.equal("true\r\n", stdout)
  end)

  it("runs several at once, results in order", function()
    local results = process.run_all{{argv = {"sh", "-c", "sleep 0.1; echo 1"}}, {argv = {"no-such-program-here"}},
      {argv = {"cat"}, input = "3"}}
    assert.are.equal("1\n", results[1].stdout)
    assert.is_true(results[2].missing)
    assert.are.equal("3", results[3].stdout)
  end)

  it("runs no more at once than it is told, and tells of each as it ends", function()
    local path = os.tmpname()
    -- each job waits until as many have begun as shall run at once
    local script = 'printf b >>"$1"; until [ "$(grep -o b "$1" | grep -c .)" -ge "$2" ]; do :; done; ' ..
      'printf e >>"$1"; echo "$3"'
    for at_once, most in pairs{1, 2, [70] = 5} do
      local jobs = {}
      for i = 1, 5 do jobs[i] = {argv = {"sh", "-c", script, "sh", path, tostring(most), tostring(i)}} end
      jobs[6] = {argv = {"no-such-program-here"}}
      assert(process.write(path, ""))
      local told = {}
      local results = process.run_all(jobs, at_once, function(i, result)
        assert.is_nil(told[i])
        told[i] = result
      end)
      assert.are.same(results, told)
      assert.are.equal(6, #results)
      for i = 1, 5 do assert.are.equal(i .. "\n", results[i].stdout) end
      assert.is_true(results[6].missing)
      local order <close> = assert(io.open(path))
      local running, highest = 0, 0
      for letter in order:read("a"):gmatch(".") do
        running = running + (letter == "b" and 1 or -1)
        highest = math.max(highest, running)
      end
      assert.are.equal(0, running)
      assert.are.equal(most, highest)
    end
    os.remove(path)
    has(message_of(process.run_all, {}, 0), "expected at least 1")
  end)

  it("ends the others when it is told to stop", function()
    local path = os.tmpname()
    local message = message_of(process.run_all, {
      {argv = {"sh", "-c", 'until [ -s "$1" ]; do sleep 0.02; done', "sh", path}},
      {argv = {"sh", "-c", 'echo $$ >"$1"; exec sleep 60', "sh", path}},
    }, 2, function() error("enough", 0) end)
    assert.are.equal("enough", message)
    local file_of_pid <close> = assert(io.open(path))
    assert.is_nil(io.open(("/proc/%d/stat"):format(file_of_pid:read("n"))))
    os.remove(path)
  end)

  it("lists a folder", function()
    local path = os.tmpname()
    os.remove(path)
    assert(process.mkdir(path .. "/b"))
    assert(process.write(path .. "/.a", ""))
    local names = process.list(path)
    table.sort(names)
    assert.are.same({".a", "b"}, names)
    assert.are.equal(0, (process.run{argv = {"rm", "-r", path}}))
    local none, message = process.list(path)
    assert.is_nil(none)
    assert.are.equal("cannot read the folder '" .. path .. "': No such file or directory", message)
  end)
end)
