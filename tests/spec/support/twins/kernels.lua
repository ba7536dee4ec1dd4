-- Twins of the kernels of the machines (runtime/svm/kernel.c): f(u, v, options) of two rows, in plain Lua.
local function dot(u, v)
  local sum = 0
  for i = 1, #u do sum = sum + u[i] * v[i] end
  return sum
end

return {
  linear = dot,
  poly = function(u, v, o) return (o.gamma * dot(u, v) + o.coef0) ^ o.degree end,
  rbf = function(u, v, o)
    local sum = 0
    for i = 1, #u do sum = sum + (u[i] - v[i]) ^ 2 end
    return math.exp(-o.gamma * sum)
  end,
  sigmoid = function(u, v, o) return 1 - 2 / (math.exp(2 * (o.gamma * dot(u, v) + o.coef0)) + 1) end,
}
