-- What specs of several estimators of peri.svm share.
local peri = require "perilune"
local samples = require "support.samples"

local estimators = { machines = {} }

-- What svm.machines() says of each, by name.
for _, machine in ipairs(peri.svm.machines()) do estimators.machines[machine.name] = machine end

--- Calls visit(name, svm[name]) for one estimator with a kernel and one without.
function estimators.each(visit)
  for _, name in ipairs { "SVC", "LinearSVC" } do visit(name, peri.svm[name]) end
end

--- Rows of k clusters in the plane, well apart, in turn; labels[c] is the label of cluster c.
function estimators.clusters(labels, each, dtype)
  local rows, y = {}, {}
  for i = 1, each do
    for c, label in ipairs(labels) do
      local turn = 2 * math.pi * c / #labels
      rows[#rows + 1] = { 3 * math.cos(turn) + math.sin(7 * i + c), 3 * math.sin(turn) + math.cos(5 * i * c) }
      y[#y + 1] = label
    end
  end
  return peri.tensor(rows, { dtype = dtype or "float64" }), peri.tensor(y, { dtype = "int64" })
end

--- All that can be seen of a fitted estimator and its answers.
function estimators.picture(m, X)
  local list = {}
  for _, name in ipairs(estimators.machines[tostring(m):match "^%a+"].fields) do
    local value = m[name]
    list[#list + 1] = samples.bits(type(value) == "table" and table.concat(value, " ") or value)
  end
  list[#list + 1] = samples.bits(m:predict(X))
  list[#list + 1] = samples.bits(m:decision_function(X))
  return table.concat(list, "\n")
end

return estimators
