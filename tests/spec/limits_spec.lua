-- What needs OpenBLAS, and products and machines, which need room for each thread, in processes whose address space is
-- limited: each ends with its result, or says that there is no room. It is the first use in its process, so that
-- everything has to be found then. A call that never ends is stopped by timeout(1).
local run = require "support.program"

local USES = {
  solve = "peri.linalg.solve(peri.eye(20) * 2, peri.ones(20, 2))",
  eigh = "peri.linalg.eigh(peri.eye(20) * 2)",
  PCA = "peri.data.PCA{components = 2}:fit(peri.randn(60, 20))",
  matmul = "peri.ones(300, 300):matmul(peri.ones(300, 300))",
  Linear = "peri.nn.Linear(200, 200)(peri.randn(100, 200)):sum():backward()",
  SVC = "peri.svm.SVC{}:fit(x, y):score(x, y)",
  ["SVC by rows"] = "peri.svm.SVC{cache_size = 0.01}:fit(x, y):score(x, y)",
  LinearSVC = "peri.svm.LinearSVC{}:fit(x, y):score(x, y)",
  kernel_matrix = "peri.svm.kernel_matrix(x, {kernel = 'rbf', gamma = 0.1})",
}
local names = {}
for name in pairs(USES) do names[#names + 1] = name end
table.sort(names)

local SCRIPT = [[
  local peri = require "perilune"
  local x = peri.randn(200, 20)
  local y = x[{ {}, 1 }]:gt(0):to("int64")
  local ok, message = pcall(function() return %s end)
  print(ok or message)
]]

-- kilobytes, threads, code -> what the program printed, its status
local function limited(size, threads, code)
  local program = (os.getenv "PERILUNE_BUILD_DIR" or "build") .. "/perilune"
  local pipe = assert(io.popen(("ulimit -v %d; exec timeout 60 '%s' --threads %d -e '%s' 2>&1"):format(size, program,
    threads, code:gsub("'", "'\\''"))))
  local out = pipe:read "a"
  local _, _, status = pipe:close()
  return out, status
end

describe("limited address space #program #stock", function()
  for _, name in ipairs(names) do
    it("is enough for " .. name .. ", or said not to be", function()
      local code = SCRIPT:format(USES[name])
      for _, threads in ipairs{1, 256} do
        for _, size in ipairs{60000, 110000, 160000} do
          local said, status = limited(size, threads, code)
          assert(said:find("^true\n$") or said:find("out of memory", 1, true), size .. ": " .. said)
          assert.equal(0, status)
        end
        assert.same({"true\n", 0}, {limited(262144, threads, code)})
      end
    end)
  end

  it("is enough for a machine from a file", function()
    local path = os.tmpname()
    local save = "peri.svm.SVC{}:fit(x, y):save(%q)"
    local use = "peri.svm.load(%q):predict(x)"
    assert.same({"true\n", "", 0}, {run{"-e", SCRIPT:format(save:format(path))}})
    local said, status = limited(262144, 256, SCRIPT:format(use:format(path)))
    os.remove(path)
    assert.same({"true\n", 0}, {said, status})
  end)
end)
