-- What specs of searches and scores are given: rows on two rings, and estimators written in Lua.
local peri = require "perilune"
local data, nn = peri.data, peri.nn

local candidates = {}

--- How many rows of each label there are.
function candidates.count(labels)
  local counts = {}
  for _, label in ipairs(labels:totable()) do counts[label] = (counts[label] or 0) + 1 end
  return counts
end

local X, y = data.circles(120, { noise = 0.2, factor = 0.5, seed = 3 })
candidates.X, candidates.y = X, y
candidates.train = { X[{ { 1, 80 } }], y[{ { 1, 80 } }] }
candidates.dev = { x = X[{ { 81, 120 } }], y = y[{ { 81, 120 } }] }

-- An estimator that notes what is asked of it: predicts sign(x1 + shift) as class 1 or 2.
local Line = {}
candidates.Line = Line
Line.__index = Line
local log = {}
candidates.log = log

--- Empties the log.
function candidates.forget() for i = #log, 1, -1 do log[i] = nil end end

function candidates.line(p) return setmetatable({ shift = p and p.shift or 0 }, Line) end

function Line:fit(x)
  log[#log + 1] = ("%g on %d"):format(self.shift, #x)
  self.fitted = true
end

function Line:predict(x)
  assert(self.fitted)
  return (x:select(2, 1) + self.shift):gt(0):to "int64" + 1
end

function Line:score(x, t) return peri.metrics.accuracy(self:predict(x), t) end
function Line:clone() return candidates.line(self) end

-- A small network that is an estimator; its initial weights come from the default stream.
local Net = {}
Net.__index = Net

function candidates.network(p) return setmetatable({ net = nn.Sequential(nn.Linear(2, p.hidden), nn.Tanh(),
  nn.Linear(p.hidden, 2)) }, Net) end

function Net:fit(x, t)
  local ce, opt = nn.CrossEntropyLoss(), peri.optim.SGD(self.net:parameters(), { lr = 0.5 })
  for bx, by in data.loader({ x, t }, { batch_size = 10, shuffle = true, seed = 4 }) do
    opt:zero_grad()
    ce(self.net(bx), by):backward()
    opt:step()
  end
  return self
end

function Net:predict_proba(x) return peri.no_grad(function() return self.net(x):softmax(2) end) end
function Net:predict(x) return self:predict_proba(x):argmax(2) end
function Net:score(x, t) return peri.metrics.accuracy(self:predict(x), t) end

return candidates
