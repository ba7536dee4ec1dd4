-- What a model gives for rows of data, in eval mode and without recording, a piece after the other: by plans where it
-- is made of layers alone, which are kept as long as the model lives.
local peri, internal, measures, loop = ...
local steps = internal.steps

local MOST_KEPT = 16 << 20 -- bytes of a model's plans
local MOST_PLANS = 16      -- as many as a replay has
local MOST_SEEN = 64       -- numbers of rows that are remembered
local MOST_LOST = 16       -- times that plans were of no use any more, before all is done without them

-- By model: its replay, and the numbers of rows: those that came once, and those that came again, which have a plan.
local known = setmetatable({}, { __mode = "k" })

local function new(model)
  local replay = steps.new(function(x) return peri.no_grad(model, x) end)
  return { replay = replay, once = {}, seen = 0, again = {}, plans = 0, lost = 0 }
end

-- Whether n rows are to have a plan from now on.
local function comes_again(own, n)
  if own.plans == MOST_PLANS or own.lost == MOST_LOST then return false end
  if own.once[n] then
    own.once[n], own.again[n], own.plans = nil, true, own.plans + 1
    return true
  end
  if own.seen == MOST_SEEN then own.once, own.seen = {}, 0 end
  own.once[n], own.seen = true, own.seen + 1
  return false
end

-- A piece of the rows, in eval mode.
local function piece(model, own, x)
  local n = #x
  if not own.again[n] then return (comes_again(own, n) and own.replay or model)(x) end
  local y = steps.again(own.replay, x)
  if y then return y end
  own.replay:forget() -- parameters, or what else the plans rest on, are others now
  own.once, own.seen, own.again, own.plans, own.lost = {}, 0, {}, 0, own.lost + 1
  comes_again(own, n)
  return model(x)
end

local function in_pieces(model, X)
  model:eval()
  if #X == 0 then return model(X) end
  local own, parts = nil, {}
  if internal.nn.plain(model) then
    own = known[model] or new(model)
    known[model] = own
  end
  measures.in_chunks(#X, function(from, to)
    local x = X[{ { from, to } }]
    parts[#parts + 1] = own and piece(model, own, x) or model(x)
  end)
  if own and own.replay.bytes > MOST_KEPT then known[model] = nil end
  return #parts == 1 and parts[1] or peri.cat(parts, 1)
end

-- Where a plan fits, the modes of the model are those that it was made in.
return function(model, X)
  local own = known[model]
  local y = own and own.again[#X] and steps.again(own.replay, X)
  return y or loop.keeping_modes(model, peri.no_grad, in_pieces, model, X)
end
